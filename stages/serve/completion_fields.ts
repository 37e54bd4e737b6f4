import { z } from "zod";
import { samplingFields } from "./sampling_fields.ts";

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
