import { z } from "zod";
import type { Asked, Echo } from "./asked.ts";
import { answerRequests } from "./generation.ts";
import { type Prompt, readPrompts } from "./prompts.ts";
import { readRequest } from "./read_request.ts";
import type { ReadingRules } from "./reading_rules.ts";
import { checkChoices, checkLogprobs, checkModel, checkScores } from "./request_limits.ts";
import { samplingFields } from "./sampling_fields.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import { codePoints, openTextStream } from "./text_stream.ts";

/** What completions without `max_tokens` get, as OpenAI's do. */
const USUAL_TOKENS = 16;

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

/** Reads the body of `POST /v1/completions`: any shape of prompt, `echo` and `logprobs`. */
export function readCompletion(bytes: Uint8Array, rules: ReadingRules): Asked {
  const { tokenizer, options, context } = rules;
  const body = readRequest(bytes, { schema: completionFields, options, long: ["prompt"] });
  checkModel(rules, body.model);
  const logprobs = body.logprobs ?? undefined;
  checkLogprobs(rules, logprobs, "logprobs");
  const echo = body.echo ?? false;
  const each = body.n ?? 1;
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
    logprobs,
    promptLogprobs: echo ? logprobs : undefined,
  };
  const requests = answerRequests(rules, wishes, prompts.map(({ tokens }) => tokens));
  checkScores(rules, requests);
  return {
    requests,
    each,
    stream: body.stream ?? false,
    usage: body.stream_options?.include_usage ?? false,
    logprobs,
    asIds: body.return_tokens_as_token_ids ?? false,
    ...echo && { echoes: prompts.map((prompt) => echoOf(prompt, tokenizer)) },
  };
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
