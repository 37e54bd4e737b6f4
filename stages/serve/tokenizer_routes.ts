import { z } from "zod";
import { templateFields } from "./chat_fields.ts";
import { chatText } from "./chat_template.ts";
import { fieldError } from "./api_error.ts";
import { ofText, readTokens } from "./prompts.ts";
import { readRequest } from "./read_request.ts";
import { checkModel } from "./request_limits.ts";
import type { ServeContext } from "./request_scope.ts";
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
  // Read elsewhere, since it may be long.
  tokens: z.unknown().describe("a list of token ids"),
});

/** Answers `POST /tokenize`. */
export async function answerTokenize(serving: ServeContext, request: Request): Promise<object> {
  const { engine, tokenizer, options } = serving;
  const body = await readRequest(request, { schema: tokenizeFields, options });
  checkModel(serving, body.model);
  const { messages } = body;
  const text = messages ? chatText(tokenizer, { ...body, messages }) : body.prompt ?? body.content;
  if (text === undefined || text === null) {
    throw fieldError(
      'Cannot tokenize: there is no text, expected "prompt" or "messages"',
      "prompt",
    );
  }
  const special = body.add_special_tokens ?? body.add_special ?? !messages;
  const tokens = text === "" && !special ? [] : ofText(text, tokenizer, { special }).tokens;
  return {
    count: tokens.length,
    max_model_len: engine.context,
    tokens,
    token_strs: body.return_token_strs ? tokens.map((id) => textOf(tokenizer, id)) : null,
  };
}

/** Answers `POST /detokenize`. */
export async function answerDetokenize(serving: ServeContext, request: Request): Promise<object> {
  const { tokenizer, options } = serving;
  const schema = detokenizeFields;
  const body = await readRequest(request, { schema, options, long: ["tokens"] });
  checkModel(serving, body.model);
  const text = tokenizer.decode(readTokens(body.tokens, tokenizer, "tokens"));
  return { prompt: text, content: text };
}
