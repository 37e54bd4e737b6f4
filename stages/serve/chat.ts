import type { Context } from "hono";
import type { AnswerEvent, PlacedToken } from "./answer.ts";
import { fieldError } from "./api_error.ts";
import { chatFields } from "./chat_fields.ts";
import { chatText } from "./chat_template.ts";
import { answerRequests } from "./generation.ts";
import { chatLogprobs, type Spelling } from "./logprobs.ts";
import { checkLength, ofText } from "./prompts.ts";
import { readRequest } from "./read_request.ts";
import { checkChoices, checkLogprobs, checkModel } from "./request_limits.ts";
import type { ServeEnv } from "./request_log.ts";
import { respond } from "./respond.ts";
import type { ServeContext } from "./request_scope.ts";

/** Answers `POST /v1/chat/completions`. */
export async function chat(serving: ServeContext, context: Context<ServeEnv>): Promise<Response> {
  const { engine, tokenizer, options } = serving;
  const body = await readRequest(context.req.raw, { schema: chatFields, options });
  checkModel(serving, body.model);
  const logprobs = logprobsOf(body);
  checkLogprobs(serving, logprobs, "top_logprobs");
  checkChoices(serving, { prompts: 1, each: body.n ?? 1 });
  const text = chatText(tokenizer, body);
  checkLength(text, { tokenizer, context: engine.context, field: "messages" });
  // The template has put the first token there already.
  const { tokens: prompt } = ofText(text, tokenizer, { special: false });
  if (prompt.length === 0) {
    throw fieldError(
      "Cannot answer the messages: the chat template makes no text of them",
      "messages",
    );
  }
  const wishes = {
    fields: body,
    maxTokens: {
      count: body.max_completion_tokens ?? body.max_tokens,
      field: isSaid(body.max_completion_tokens) ? "max_completion_tokens" : "max_tokens",
    },
    logprobs,
  };
  const requests = answerRequests(serving, wishes, [prompt]);
  const spelling = { tokenizer, asIds: body.return_tokens_as_token_ids ?? false };
  return await respond(serving, context, {
    fields: body,
    requests,
    names: { id: "chatcmpl", whole: "chat.completion", chunk: "chat.completion.chunk" },
    choices: requests.map((_, index) =>
      openChoice(index, logprobs === undefined ? undefined : spelling)
    ),
  });
}

function isSaid(value: number | null | undefined): boolean {
  return value !== undefined && value !== null;
}

/** How many likeliest tokens are wanted with every token; undefined where no scores are. */
function logprobsOf({ logprobs, top_logprobs: top }: {
  readonly logprobs?: boolean | null | undefined;
  readonly top_logprobs?: number | null | undefined;
}): number | undefined {
  if (logprobs) return top ?? 0;
  if (!top) return undefined;
  throw fieldError(
    'Cannot give likeliest tokens: "logprobs" is not set, expected true',
    "top_logprobs",
  );
}

/** One choice of the answer, in pieces and in whole. */
function openChoice(index: number, spelling: Spelling | undefined) {
  let content = "";
  let finish: string | null = null;
  const all: PlacedToken[] = [];
  const scores = (tokens: readonly PlacedToken[]) =>
    spelling ? chatLogprobs(tokens, spelling) : null;
  return {
    /** The piece of a chunk that tells of an event, if it has one. */
    see(event: AnswerEvent): object | undefined {
      switch (event.type) {
        case "prompt": {
          const delta = { role: "assistant", content: "" };
          return { index, delta, logprobs: null, finish_reason: null };
        }
        case "text": {
          if (event.text === "" && !spelling) return undefined;
          content += event.text;
          for (const token of event.tokens) all.push(token);
          const delta = { content: event.text };
          return { index, delta, logprobs: scores(event.tokens), finish_reason: null };
        }
        case "end":
          finish = event.reason;
          return { index, delta: {}, logprobs: null, finish_reason: finish };
      }
    },
    whole: () => ({
      index,
      message: { role: "assistant", content, refusal: null },
      logprobs: scores(all),
      finish_reason: finish,
    }),
  };
}
