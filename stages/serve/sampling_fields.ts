import { z } from "zod";
import { structuredFields } from "./structured/structured_fields.ts";

const streamOptions = z.looseObject({
  include_usage: z.boolean().nullish().describe("one more chunk with the usage at the end"),
});

/** Fields that completions and chats have in common; `null` is the same as nothing. */
export const samplingFields = {
  model: z.string().nullish().describe("the served model's name, if it shall be checked"),
  n: z.int().min(1).nullish().describe("answers to each prompt"),
  temperature: z.number().min(0).nullish().describe("0 takes the likeliest token; 1 unless said"),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish().describe("0 and -1 for all tokens"),
  min_p: z.number().min(0).max(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().positive().nullish(),
  logit_bias: z.record(z.string(), z.number().min(-100).max(100)).nullish().describe(
    "by token id",
  ),
  seed: z.int().nullish().describe("random unless said; of n answers each has one more"),
  ...structuredFields,
  max_tokens: z.int().min(0).nullish(),
  min_tokens: z.int().min(0).nullish().describe(
    "tokens before an answer may end; a grammar that leaves nothing else comes first",
  ),
  bad_words: z.array(z.string().min(1)).nullish().describe(
    "texts that never come; a grammar that leaves nothing else comes first",
  ),
  prompt_logprobs: z.int().min(0).nullish().describe(
    "likeliest tokens to score at every place of the prompt, besides its own",
  ),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  stop_token_ids: z.array(z.int().min(0)).nullish(),
  include_stop_str_in_output: z.boolean().nullish(),
  ignore_eos: z.boolean().nullish().describe("go on behind the token that ends answers"),
  skip_special_tokens: z.boolean().nullish().describe("true unless said"),
  return_tokens_as_token_ids: z.boolean().nullish().describe("tokens of logprobs as token_id:123"),
  stream: z.boolean().nullish(),
  stream_options: streamOptions.nullish(),
} as const;

/** The fields of `samplingFields` as they come out of a request. */
export type SamplingFields = z.output<ReturnType<typeof fields>>;

function fields() {
  return z.looseObject(samplingFields);
}
