import { z } from "zod";
import { fieldError } from "./api_error.ts";
import type { Asked, Echo } from "./asked.ts";
import { answerRequests } from "./generation.ts";
import { promptShapes } from "./prompt_shapes.ts";
import { type Prompt, readPrompts } from "./prompts.ts";
import { readRequest } from "./read_request.ts";
import type { ReadingRules } from "./reading_rules.ts";
import {
  checkChoices,
  checkLogprobs,
  checkModel,
  checkScores,
  promptScoresOf,
} from "./request_limits.ts";
import { samplingFields } from "./sampling_fields.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import { codePoints, openTextStream } from "./text_stream.ts";

/** What completions without `max_tokens` get, as OpenAI's do. */
const USUAL_TOKENS = 16;

/** The body of `POST /v1/completions`. */
export const completionFields = z.looseObject({
  ...samplingFields,
  prompt: promptShapes,
  echo: z.boolean().nullish().describe("give the prompt back before the answer"),
  logprobs: z.int().min(0).nullish().describe("likeliest tokens to score besides the chosen one"),
  best_of: z.int().min(1).nullish().describe(
    "answers that are made, of which the n likeliest a token are given; n unless said",
  ),
  add_special_tokens: z.boolean().nullish().describe(
    "whether texts get what the model puts around texts; true unless said",
  ),
});

/** Reads the body of `POST /v1/completions`: any shape of prompt, `echo` and `logprobs`. */
export function readCompletion(bytes: Uint8Array, rules: ReadingRules): Asked {
  const { tokenizer, options, context } = rules;
  const body = readRequest(bytes, { schema: completionFields, options, long: ["prompt"] });
  checkModel(rules, body.model);
  const logprobs = body.logprobs ?? undefined;
  checkLogprobs(rules, logprobs, "logprobs");
  const echo = body.echo ?? false;
  const promptScores = promptScoresOf(rules, body);
  const kept = body.n ?? 1;
  const each = body.best_of ?? kept;
  checkBest(body, { each, kept });
  const prompts = readPrompts(body.prompt, {
    tokenizer,
    special: body.add_special_tokens ?? true,
    context,
    maxText: options.maxText,
    checkCount: (count) => checkChoices(rules, { prompts: count, each }),
  });
  const wishes = {
    fields: body,
    maxTokens: { count: body.max_tokens, usual: USUAL_TOKENS, field: "max_tokens" },
    each,
    // Which ones are the likeliest, scores tell.
    logprobs: each > kept ? logprobs ?? 0 : logprobs,
    promptLogprobs: most(promptScores, echo ? logprobs : undefined),
  };
  const requests = answerRequests(rules, wishes, prompts.map(({ tokens }) => tokens));
  checkScores(rules, requests);
  return {
    requests,
    each,
    ...each > kept && { kept },
    ...promptScores !== undefined && { promptScores },
    stream: body.stream ?? false,
    usage: body.stream_options?.include_usage ?? false,
    logprobs,
    asIds: body.return_tokens_as_token_ids ?? false,
    ...echo && { echoes: prompts.map((prompt) => echoOf(prompt, tokenizer)) },
  };
}

/** The larger of two counts; undefined where neither is said. */
function most(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? one ?? other : Math.max(one, other);
}

/** The best are known when all answers have ended, so that there is nothing to stream. */
function checkBest(
  { stream }: { readonly stream?: boolean | null | undefined },
  { each, kept }: { readonly each: number; readonly kept: number },
): void {
  if (each < kept) {
    throw fieldError(`Cannot give ${kept} answers of ${each}: expected at least "n"`, "best_of");
  }
  if (!stream || each === kept) return;
  throw fieldError(
    'Cannot stream the best answers: which they are is known at their end, expected "stream" left out',
    "best_of",
  );
}

function echoOf({ tokens, text, added }: Prompt, tokenizer: ServedTokenizer): Echo {
  const stream = openTextStream(tokenizer, { within: false, special: true });
  let [spelt, offset] = ["", 0];
  const offsets = Uint32Array.from(tokens, (token, at) => {
    const begin = offset;
    const piece = at < added ? "" : stream.push(token);
    spelt += piece;
    offset += codePoints(piece);
    return begin;
  });
  // A text is given back as it came, however the tokenizer has normalized it.
  const shown = text ?? spelt + stream.end();
  return { text: shown, points: codePoints(shown), tokens, offsets };
}
