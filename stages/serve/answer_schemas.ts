import { z } from "zod";
import { errorBody } from "./api_error.ts";

const usage = z.looseObject({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({ cached_tokens: z.int() }),
});

const head = {
  id: z.string(),
  created: z.int().describe("seconds since 1970"),
  model: z.string(),
  system_fingerprint: z.string().describe("tells answers of other weights apart"),
};

const finish = z.enum(["stop", "length", "tool_calls"]).nullable();

const completionLogprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  text_offset: z.array(z.int()),
}).nullable();

const promptLogprobs = z.array(
  z.record(
    z.string(),
    z.object({ logprob: z.number(), rank: z.int().nullable(), decoded_token: z.string() }),
  ).nullable(),
).optional().describe("by token id, where prompt_logprobs was asked for");

/** What `POST /v1/completions` answers. */
export const completionAnswer = z.looseObject({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(z.looseObject({
    index: z.int(),
    text: z.string(),
    logprobs: completionLogprobs,
    prompt_logprobs: promptLogprobs,
    finish_reason: finish,
  })),
  usage: usage.nullish(),
});

const scored = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()),
});

const chatLogprobs = z.object({
  content: z.array(scored.extend({ top_logprobs: z.array(scored) })),
}).nullable();

const call = z.looseObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.object({ name: z.string(), arguments: z.string().describe("JSON") }),
});

/** What `POST /v1/chat/completions` answers. */
export const chatAnswer = z.looseObject({
  ...head,
  object: z.literal("chat.completion"),
  choices: z.array(z.looseObject({
    index: z.int(),
    message: z.looseObject({
      role: z.literal("assistant"),
      content: z.string().nullable(),
      refusal: z.null(),
      reasoning_content: z.string().optional().describe("what the model thought before"),
      tool_calls: z.array(call).optional(),
    }),
    logprobs: chatLogprobs,
    finish_reason: finish,
  })),
  prompt_logprobs: promptLogprobs,
  usage,
});

/** What `POST /v1/responses` answers. */
export const responseAnswer = z.looseObject({
  id: z.string(),
  object: z.literal("response"),
  created_at: z.int(),
  status: z.enum(["completed", "incomplete"]),
  model: z.string(),
  output: z.array(z.looseObject({
    id: z.string(),
    type: z.enum(["message", "function_call", "reasoning"]),
  })),
  usage: z.looseObject({
    input_tokens: z.int(),
    output_tokens: z.int(),
    total_tokens: z.int(),
  }),
});

/** What `POST /v1/messages` answers. */
export const messageAnswer = z.looseObject({
  id: z.string(),
  type: z.literal("message"),
  role: z.literal("assistant"),
  model: z.string(),
  content: z.array(z.looseObject({ type: z.enum(["text", "thinking", "tool_use"]) })),
  stop_reason: z.enum(["end_turn", "max_tokens", "stop_sequence", "tool_use"]),
  stop_sequence: z.string().nullable(),
  usage: z.looseObject({ input_tokens: z.int(), output_tokens: z.int() }),
});

/** What routes of Anthropic's API answer where something was wrong. */
export const messageErrorBody = errorBody.extend({ type: z.literal("error") });

/** What `POST /v1/messages/count_tokens` answers. */
export const messageCountAnswer = z.object({ input_tokens: z.int() });

/** What `POST /v1/embeddings` answers. */
export const embeddingsAnswer = z.object({
  object: z.literal("list"),
  model: z.string(),
  data: z.array(z.object({
    object: z.literal("embedding"),
    index: z.int(),
    embedding: z.union([z.array(z.number()), z.string().describe("base64")]),
  })),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
});

/** One model by one of its names. */
export const modelAnswer = z.looseObject({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  root: z.string(),
  max_model_len: z.int().describe("longest prompt and answer together, in tokens"),
});

/** What `GET /v1/models` answers. */
export const modelsAnswer = z.object({ object: z.literal("list"), data: z.array(modelAnswer) });

/** What `POST /tokenize` answers. */
export const tokenizeAnswer = z.object({
  count: z.int(),
  max_model_len: z.int(),
  tokens: z.array(z.int()),
  token_strs: z.array(z.string()).nullable(),
});

/** What `POST /detokenize` answers. */
export const detokenizeAnswer = z.object({ prompt: z.string(), content: z.string() });

/** What `GET /tokenizer_info` answers. */
export const tokenizerAnswer = z.looseObject({ chat_template: z.string().nullable() });

/** What the routes for watchers answer. */
export const healthAnswer = z.object({ status: z.enum(["ok", "draining"]) });

/** What `GET /version` answers. */
export const versionAnswer = z.object({ version: z.string(), deno: z.string() });

/** What `GET /status` answers. */
export const statusAnswer = modelStatus().extend({
  models: z.array(modelStatus()).describe("each model of the server; the first one's stand above"),
});

function modelStatus() {
  return z.looseObject({
    model: z.looseObject({ name: z.string(), digest: z.string(), scheme: z.string() }),
    state: z.enum(["loading", "ready", "draining", "failed"]),
    context: z.int(),
    chat: z.boolean(),
    engine: z.looseObject({ running: z.int(), waiting: z.int() }),
  });
}
