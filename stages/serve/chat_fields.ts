import { z } from "zod";
import { samplingFields } from "./sampling_fields.ts";
import { callFields, toolFields } from "./tools/tool_fields.ts";

const textPart = z.looseObject({
  type: z.literal("text", "this server reads texts only"),
  text: z.string(),
});

/** A message of a conversation; fields not named here reach the chat template as they are. */
const message = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: z.union([z.string(), z.array(textPart)], "expected a text or a list of text parts")
    .nullish(),
  ...callFields,
});

/** The fields that lay a conversation out. */
export const templateFields = {
  messages: z.array(message).min(1),
  add_generation_prompt: z.boolean().nullish().describe("begin the answer; true unless said"),
  continue_final_message: z.boolean().nullish().describe(
    "the answer goes on with the last message",
  ),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish().describe(
    "variables of the chat template",
  ),
} as const;

/** The body of `POST /v1/chat/completions`. */
export const chatFields = z.looseObject({
  ...samplingFields,
  ...templateFields,
  ...toolFields,
  max_completion_tokens: z.int().min(0).nullish().describe("comes before max_tokens"),
  logprobs: z.boolean().nullish().describe("score the tokens of the answer"),
  top_logprobs: z.int().min(0).nullish().describe("likeliest tokens to score at every place"),
});

/** A message as it comes out of a request. */
export type ChatMessage = z.output<typeof message>;

/** A conversation as it comes out of a request. */
export type Conversation = z.output<z.ZodObject<typeof templateFields>>;
