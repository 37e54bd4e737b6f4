import type { Context } from "hono";
import type { ScoredToken } from "../engine/engine.ts";
import type { AnswerEvent, PlacedToken } from "./answer.ts";
import { answerRequests } from "./generation.ts";
import { completionLogprobs, type Spelling } from "./logprobs.ts";
import { type Prompt, readPrompts } from "./prompts.ts";
import { readRequest } from "./read_request.ts";
import type { ServeEnv } from "./request_log.ts";
import { checkChoices, checkLogprobs, checkModel } from "./request_limits.ts";
import { respond } from "./respond.ts";
import type { ServeContext } from "./request_scope.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import { codePoints, openTextStream } from "./text_stream.ts";
import { z } from "zod";
import { samplingFields } from "./sampling_fields.ts";

/** What completions without `max_tokens` get, as OpenAI's do. */
const USUAL_TOKENS = 16;

/** Answers `POST /v1/completions`: any shape of prompt, `echo` and `logprobs` as lm-eval reads them. */
export async function completions(
  serving: ServeContext,
  context: Context<ServeEnv>,
): Promise<Response> {
  const { engine, tokenizer, options } = serving;
  const body = await readRequest(context.req.raw, {
    schema: completionFields,
    options,
    long: ["prompt"],
  });
  checkModel(serving, body.model);
  const logprobs = body.logprobs ?? undefined;
  checkLogprobs(serving, logprobs, "logprobs");
  const echo = body.echo ?? false;
  const special = body.add_special_tokens ?? true;
  const prompts = readPrompts(body.prompt, tokenizer, { special, context: engine.context });
  const each = body.n ?? 1;
  checkChoices(serving, { prompts: prompts.length, each });
  const wishes = {
    fields: body,
    maxTokens: { count: body.max_tokens, usual: USUAL_TOKENS, field: "max_tokens" },
    logprobs,
    promptLogprobs: echo ? logprobs : undefined,
  };
  const requests = answerRequests(serving, wishes, prompts.map(({ tokens }) => tokens));
  const echoes = echo ? prompts.map((prompt) => echoOf(prompt, tokenizer)) : undefined;
  const spelling = { tokenizer, asIds: body.return_tokens_as_token_ids ?? false };
  return await respond(serving, context, {
    fields: body,
    requests,
    names: { id: "cmpl", whole: "text_completion", chunk: "text_completion" },
    choices: requests.map((_, index) =>
      openChoice(index, {
        echo: echoes?.[Math.floor(index / each)],
        spelling: logprobs === undefined ? undefined : spelling,
      })
    ),
  });
}

/** A prompt as it stands before its answer: its text, and where its tokens begin in it. */
interface Echo {
  readonly text: string;
  readonly points: number;
  readonly tokens: readonly PlacedToken[];
}

function echoOf({ tokens, text, added }: Prompt, tokenizer: ServedTokenizer): Echo {
  const stream = openTextStream(tokenizer, { within: false, special: true });
  let [spelt, offset] = ["", 0];
  const placed = tokens.map((token, at) => {
    const begin = offset;
    const piece = at < added ? "" : stream.push(token);
    spelt += piece;
    offset += codePoints(piece);
    return { token, offset: begin };
  });
  // A text is given back as it came, however the tokenizer has normalized it.
  const shown = text ?? spelt + stream.end();
  return { text: shown, points: codePoints(shown), tokens: placed };
}

/** One choice of the answer, in pieces and in whole. */
function openChoice(
  index: number,
  { echo, spelling }: { readonly echo: Echo | undefined; readonly spelling: Spelling | undefined },
) {
  let text = "";
  let finish: string | null = null;
  const all: PlacedToken[] = [];
  const piece = (more: string, tokens: readonly PlacedToken[]) => {
    text += more;
    for (const token of tokens) all.push(token);
    return { index, text: more, logprobs: logprobsOf(tokens), finish_reason: null };
  };
  const logprobsOf = (tokens: readonly PlacedToken[]) =>
    spelling ? completionLogprobs(tokens, spelling) : null;
  return {
    /** The chunk that tells of an event, if it has one. */
    see(event: AnswerEvent) {
      switch (event.type) {
        case "prompt":
          return echo ? piece(echo.text, scored(echo.tokens, event.scores)) : undefined;
        case "text": {
          if (event.text === "" && !spelling) return undefined;
          const shift = echo?.points ?? 0;
          const moved = event.tokens.map((token) => ({ ...token, offset: token.offset + shift }));
          return piece(event.text, moved);
        }
        case "end":
          finish = event.reason;
          return { index, text: "", logprobs: null, finish_reason: finish };
      }
    },
    whole: () => ({ index, text, logprobs: logprobsOf(all), finish_reason: finish }),
  };
}

/** Tokens of a prompt with their scores; the first has none, since nothing is before it. */
function scored(tokens: readonly PlacedToken[], scores: readonly ScoredToken[]): PlacedToken[] {
  return tokens.map((token, at) => ({ ...token, ...at > 0 ? scores[at - 1] : undefined }));
}

/** The body of `POST /v1/completions`. */
export const completionFields = z.looseObject({
  ...samplingFields,
  // Read elsewhere: a union would complain of every token of every shape.
  prompt: z.unknown().describe("a text, a list of texts, a list of token ids, or lists of them"),
  echo: z.boolean().nullish().describe("give the prompt back before the answer"),
  logprobs: z.int().min(0).nullish().describe("likeliest tokens to score besides the chosen one"),
  add_special_tokens: z.boolean().nullish().describe(
    "whether texts get what the model puts around texts; true unless said",
  ),
});
