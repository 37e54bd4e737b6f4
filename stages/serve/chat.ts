import type { Context } from "hono";
import type { ScoredToken } from "../engine/engine.ts";
import type { AnswerEvent, PlacedToken } from "./answer.ts";
import { type ChatLayout, type ChatPart, openChatParts } from "./chat_parts.ts";
import { chatLogprobs, chatLogprobsJson, promptLogprobsJson, type Spelling } from "./logprobs.ts";
import type { ServeEnv } from "./request_log.ts";
import { answerAsked } from "./respond.ts";
import type { ServeContext } from "./request_scope.ts";

/** Answers `POST /v1/chat/completions`. */
export async function chat(serving: ServeContext, context: Context<ServeEnv>): Promise<Response> {
  return await answerAsked(serving, context, {
    kind: "chat",
    names: { id: "chatcmpl", whole: "chat.completion", chunk: "chat.completion.chunk" },
    choice: (index, { logprobs, promptScores, asIds, chat }, { tokenizer }) => {
      return openChoice(index, {
        spelling: logprobs === undefined ? undefined : { tokenizer, asIds },
        prompt: promptScores === undefined
          ? undefined
          : { count: promptScores, spelling: { tokenizer, asIds } },
        layout: chat!,
      });
    },
  });
}

/** One choice of the answer, in pieces and in whole. */
function openChoice(
  index: number,
  { spelling, prompt, layout }: {
    readonly spelling: Spelling | undefined;
    /** How the scores of the prompt are told; undefined where they are not wanted. */
    readonly prompt: { readonly count: number; readonly spelling: Spelling } | undefined;
    readonly layout: ChatLayout;
  },
) {
  const parts = openChatParts(layout);
  let [content, thought] = ["", ""];
  let finish: string | null = null;
  const calls: { readonly id: string; readonly name: string; arguments: string }[] = [];
  const all: PlacedToken[] = [];
  let promptTokens: readonly ScoredToken[] = [];
  const keep = (part: ChatPart) => {
    switch (part.type) {
      case "call":
        calls.push({ id: part.id, name: part.name, arguments: "" });
        break;
      case "arguments":
        calls.at(-1)!.arguments += part.text;
        break;
      case "thought":
        thought += part.text;
        break;
      case "content":
        content += part.text;
    }
  };
  const finishOf = (reason: "stop" | "length") =>
    reason === "stop" && calls.length > 0 ? "tool_calls" : reason;
  /** What chunks say of a part that was kept; of a call first its name, as clients join them. */
  const delta = (part: ChatPart): object => {
    const index = calls.length - 1;
    switch (part.type) {
      case "call": {
        const { id, name } = part;
        const called = { name, arguments: "" };
        return { tool_calls: [{ index, id, type: "function", function: called }] };
      }
      case "arguments":
        return { tool_calls: [{ index, function: { arguments: part.text } }] };
      case "thought":
        return { reasoning_content: part.text };
      case "content":
        return { content: part.text };
    }
  };
  return {
    see(event: AnswerEvent) {
      if (event.type === "prompt" && prompt) promptTokens = event.scores;
      if (event.type === "text") {
        parts.push(event.text).forEach(keep);
        if (spelling) { for (const token of event.tokens) all.push(token); }
      }
      if (event.type !== "end") return;
      parts.end().forEach(keep);
      finish = finishOf(event.reason);
    },
    /** The chunks that tell of an event, if it has any. */
    *chunks(event: AnswerEvent) {
      const chunk = (
        delta: object,
        logprobs: object | null = null,
        finish: string | null = null,
      ) => ({
        index,
        delta,
        logprobs,
        finish_reason: finish,
      });
      switch (event.type) {
        case "prompt":
          yield chunk({ role: "assistant", content: "" });
          return;
        case "text": {
          const made = parts.push(event.text).map((part) => {
            keep(part);
            return delta(part);
          });
          if (spelling && event.tokens.length > 0 && made.length === 0) made.push({ content: "" });
          // Scores go with the first of what their tokens became.
          for (const [at, delta] of made.entries()) {
            yield chunk(delta, spelling && at === 0 ? chatLogprobs(event.tokens, spelling) : null);
          }
          return;
        }
        case "end":
          for (const part of parts.end()) {
            keep(part);
            yield chunk(delta(part));
          }
          yield chunk({}, null, finishOf(event.reason));
      }
    },
    /** The JSON of the choice once all events were seen. */
    *json(at = index) {
      const message = {
        role: "assistant",
        content: content === "" && calls.length > 0 ? null : content,
        refusal: null,
        ...thought !== "" && { reasoning_content: thought },
        ...calls.length > 0 && {
          tool_calls: calls.map(({ id, name, arguments: given }) => ({
            id,
            type: "function",
            function: { name, arguments: given },
          })),
        },
      };
      yield `{"index":${at},"message":${JSON.stringify(message)},"logprobs":`;
      if (spelling) yield* chatLogprobsJson(all, spelling);
      else yield "null";
      yield `,"finish_reason":${JSON.stringify(finish)}}`;
    },
    /** What stands beside the choices: the scores of the prompt, where vLLM has them. */
    *beside() {
      if (!prompt) return;
      yield ',"prompt_logprobs":';
      yield* promptLogprobsJson(promptTokens, prompt);
    },
  };
}
