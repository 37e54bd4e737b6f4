import { z } from "zod";
import { templateFields } from "./chat_fields.ts";
import { chatText } from "./chat_template.ts";
import { fieldError } from "./api_error.ts";
import { tokenIds } from "./prompt_shapes.ts";
import { checkTexts, ofText, readTokens } from "./prompts.ts";
import { readRequest } from "./read_request.ts";
import type { ReadingRules } from "./reading_rules.ts";
import { checkModel } from "./request_limits.ts";
import { textOf } from "./text_stream.ts";

/** The body of `POST /tokenize`: vLLM's fields, and llama.cpp's where it calls the same otherwise. */
export const tokenizeFields = z.looseObject({
  ...templateFields,
  messages: templateFields.messages.nullish(),
  model: z.string().nullish(),
  prompt: z.string().nullish(),
  content: z.string().nullish().describe("another name of prompt"),
  add_special_tokens: z.boolean().nullish().describe("true unless said; false for messages"),
  add_special: z.boolean().nullish().describe("another name of add_special_tokens"),
  return_token_strs: z.boolean().nullish(),
});

/** The body of `POST /detokenize`. */
export const detokenizeFields = z.looseObject({
  model: z.string().nullish(),
  tokens: tokenIds,
});

/** Reads the body of `POST /tokenize`, and answers it. */
export function readTokenize(bytes: Uint8Array, rules: ReadingRules): object {
  const { tokenizer, options, context } = rules;
  const body = readRequest(bytes, { schema: tokenizeFields, options });
  checkModel(rules, body.model);
  const { messages } = body;
  const text = messages ? chatText(tokenizer, { ...body, messages }) : body.prompt ?? body.content;
  const field = messages ? "messages" : "prompt";
  if (text === undefined || text === null) {
    throw fieldError('Cannot tokenize: there is no text, expected "prompt" or "messages"', field);
  }
  checkTexts(text.length, { maxText: options.maxText, field });
  const special = body.add_special_tokens ?? body.add_special ?? !messages;
  const tokens = text === "" && !special ? [] : ofText(text, tokenizer, { special }).tokens;
  return {
    count: tokens.length,
    max_model_len: context,
    tokens,
    token_strs: body.return_token_strs ? tokens.map((id) => textOf(tokenizer, id)) : null,
  };
}

/** Reads the body of `POST /detokenize`, and answers it. */
export function readDetokenize(bytes: Uint8Array, rules: ReadingRules): object {
  const { tokenizer, options } = rules;
  const body = readRequest(bytes, { schema: detokenizeFields, options, long: ["tokens"] });
  checkModel(rules, body.model);
  const ids = readTokens(body.tokens, tokenizer, "tokens");
  if (ids.length > options.maxText) {
    throw fieldError(
      `Cannot put ${ids.length} tokens together: this server takes at most ${options.maxText}`,
      "tokens",
    );
  }
  const text = tokenizer.decode(ids);
  return { prompt: text, content: text };
}
