import type { Context } from "hono";
import type { AnswerEvent, PlacedToken } from "./answer.ts";
import { chatLogprobs, chatLogprobsJson, type Spelling } from "./logprobs.ts";
import type { ServeEnv } from "./request_log.ts";
import { answerAsked } from "./respond.ts";
import type { ServeContext } from "./request_scope.ts";

/** Answers `POST /v1/chat/completions`. */
export async function chat(serving: ServeContext, context: Context<ServeEnv>): Promise<Response> {
  return await answerAsked(serving, context, {
    kind: "chat",
    names: { id: "chatcmpl", whole: "chat.completion", chunk: "chat.completion.chunk" },
    choice: (index, { logprobs, asIds }) =>
      openChoice(
        index,
        logprobs === undefined ? undefined : { tokenizer: serving.tokenizer, asIds },
      ),
  });
}

/** One choice of the answer, in pieces and in whole. */
function openChoice(index: number, spelling: Spelling | undefined) {
  let content = "";
  let finish: string | null = null;
  const all: PlacedToken[] = [];
  return {
    see(event: AnswerEvent) {
      if (event.type === "end") finish = event.reason;
      if (event.type !== "text") return;
      content += event.text;
      if (spelling) { for (const token of event.tokens) all.push(token); }
    },
    /** The chunks that tell of an event, if it has any. */
    *chunks(event: AnswerEvent) {
      switch (event.type) {
        case "prompt": {
          const delta = { role: "assistant", content: "" };
          yield { index, delta, logprobs: null, finish_reason: null };
          return;
        }
        case "text": {
          if (event.text === "" && !spelling) return;
          const delta = { content: event.text };
          const logprobs = spelling ? chatLogprobs(event.tokens, spelling) : null;
          yield { index, delta, logprobs, finish_reason: null };
          return;
        }
        case "end":
          yield { index, delta: {}, logprobs: null, finish_reason: event.reason };
      }
    },
    /** The JSON of the choice once all events were seen. */
    *json() {
      const message = { role: "assistant", content, refusal: null };
      yield `{"index":${index},"message":${JSON.stringify(message)},"logprobs":`;
      if (spelling) yield* chatLogprobsJson(all, spelling);
      else yield "null";
      yield `,"finish_reason":${JSON.stringify(finish)}}`;
    },
  };
}
