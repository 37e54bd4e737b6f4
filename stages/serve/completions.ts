import type { Context } from "hono";
import type { ScoredToken } from "../engine/engine.ts";
import type { AnswerEvent, PlacedToken } from "./answer.ts";
import type { Echo } from "./asked.ts";
import {
  completionLogprobs,
  completionLogprobsJson,
  promptLogprobsJson,
  type Spelling,
} from "./logprobs.ts";
import { answerAsked } from "./respond.ts";
import type { ServeEnv } from "./request_log.ts";
import type { ServeContext } from "./request_scope.ts";

/** Answers `POST /v1/completions`, with `echo` and `logprobs` as lm-eval reads them. */
export async function completions(
  serving: ServeContext,
  context: Context<ServeEnv>,
): Promise<Response> {
  return await answerAsked(serving, context, {
    kind: "completions",
    names: { id: "cmpl", whole: "text_completion", chunk: "text_completion" },
    choice: (index, { logprobs, promptScores, echoes, each, asIds }, { tokenizer }) =>
      openChoice(index, {
        echo: echoes?.[Math.floor(index / each)],
        spelling: { tokenizer, asIds },
        logprobs,
        promptScores,
      }),
  });
}

/** Tokens of a prompt that a chunk of a stream has. */
const CHUNK_TOKENS = 64;

/** One choice of the answer, in pieces and in whole. */
function openChoice(
  index: number,
  { echo, spelling, logprobs, promptScores }: {
    readonly echo: Echo | undefined;
    readonly spelling: Spelling;
    /** Likeliest tokens to score; undefined where no scores are wanted. */
    readonly logprobs: number | undefined;
    /** The same for tokens of the prompt. */
    readonly promptScores: number | undefined;
  },
) {
  const isScored = logprobs !== undefined;
  let promptTokens: readonly ScoredToken[] = [];
  let text = "";
  let finish: string | null = null;
  const all: PlacedToken[] = [];
  const chunk = (text: string, tokens: readonly PlacedToken[]) => ({
    index,
    text,
    logprobs: isScored ? completionLogprobs(tokens, spelling) : null,
    finish_reason: null,
  });
  return {
    see(event: AnswerEvent) {
      switch (event.type) {
        case "prompt":
          text += echo?.text ?? "";
          if (promptScores !== undefined) promptTokens = event.scores;
          if (echo && isScored) all.push(...placed(echo, event.scores, logprobs));
          return;
        case "text": {
          const shift = echo?.points ?? 0;
          text += event.text;
          for (const token of event.tokens) all.push({ ...token, offset: token.offset + shift });
          return;
        }
        case "end":
          finish = event.reason;
      }
    },
    /** The chunks that tell of an event, if it has any. */
    *chunks(event: AnswerEvent): Generator<object> {
      switch (event.type) {
        case "prompt": {
          if (!echo) return;
          const tokens = isScored ? [...placed(echo, event.scores, logprobs)] : [];
          for (let at = 0; at === 0 || at < tokens.length; at += CHUNK_TOKENS) {
            yield chunk(at === 0 ? echo.text : "", tokens.slice(at, at + CHUNK_TOKENS));
          }
          return;
        }
        case "text": {
          if (event.text === "" && !isScored) return;
          const shift = echo?.points ?? 0;
          const moved = event.tokens.map((token) => ({ ...token, offset: token.offset + shift }));
          yield chunk(event.text, moved);
          return;
        }
        case "end":
          yield { index, text: "", logprobs: null, finish_reason: event.reason };
      }
    },
    /** The JSON of the choice once all events were seen. */
    *json(at = index) {
      yield `{"index":${at},"text":${JSON.stringify(text)},"logprobs":`;
      if (isScored) yield* completionLogprobsJson(all, spelling);
      else yield "null";
      if (promptScores !== undefined) {
        yield ',"prompt_logprobs":';
        yield* promptLogprobsJson(promptTokens, { count: promptScores, spelling });
      }
      yield `,"finish_reason":${JSON.stringify(finish)}}`;
    },
  };
}

/** Tokens of a prompt with their scores; the first has none, since nothing is before it. */
function* placed(
  { tokens, offsets }: Echo,
  scores: readonly ScoredToken[],
  likeliest: number,
): Generator<PlacedToken> {
  for (const [at, token] of tokens.entries()) {
    const { top, ...score } = scores[at - 1] ?? {};
    // There may be more of them than were wanted here.
    const some = top && { top: top.slice(0, likeliest) };
    yield { ...score, ...some, token, offset: offsets[at]! };
  }
}
