import { z } from "zod";
import { ApiError, fieldError } from "../api_error.ts";
import type { Asked } from "../asked.ts";
import { chatFields } from "../chat_fields.ts";
import { chatAsked } from "../chat_request.ts";
import { chatText } from "../chat_template.ts";
import { checkTexts, ofText } from "../prompts.ts";
import { readRequest } from "../read_request.ts";
import type { ReadingRules } from "../reading_rules.ts";
import { checkModel } from "../request_limits.ts";
import { askedTools } from "../tools/asked_tools.ts";

/** What Anthropic's clients read of a server without threads: they then send all messages. */
export const NO_THREADS = "thread_unsupported_request";

const text = z.looseObject({ type: z.literal("text"), text: z.string() });
const blocks = z.array(z.discriminatedUnion("type", [
  text,
  z.looseObject({ type: z.literal("thinking"), thinking: z.string() }),
  z.looseObject({ type: z.literal("redacted_thinking") }),
  z.looseObject({
    type: z.literal("tool_use"),
    id: z.string(),
    name: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
  z.looseObject({
    type: z.literal("tool_result"),
    tool_use_id: z.string(),
    content: z.union([z.string(), z.array(text)], "this server reads texts only").nullish(),
    is_error: z.boolean().nullish(),
  }),
]));

/** The body of `POST /v1/messages`, as Anthropic has it. */
export const messagesFields = z.looseObject({
  model: z.string().nullish(),
  max_tokens: z.int().min(1),
  messages: z.array(z.looseObject({
    role: z.enum(["user", "assistant"]),
    content: z.union([z.string(), blocks]),
  })).min(1),
  system: z.union([z.string(), z.array(text)]).nullish(),
  temperature: z.number().min(0).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish(),
  stop_sequences: z.array(z.string()).nullish(),
  stream: z.boolean().nullish(),
  tools: z.array(z.looseObject({
    type: z.literal("custom", "this server has functions only").nullish(),
    name: z.string(),
    description: z.string().nullish(),
    input_schema: z.record(z.string(), z.unknown()),
  })).nullish(),
  tool_choice: z.looseObject({
    type: z.enum(["auto", "any", "tool", "none"]),
    name: z.string().nullish(),
    disable_parallel_tool_use: z.boolean().nullish(),
  }).nullish(),
  output_config: z.looseObject({
    format: z.looseObject({
      type: z.literal("json_schema"),
      schema: z.record(z.string(), z.unknown()),
    }).nullish().describe("what the answer is held to"),
  }).nullish(),
  thread: z.unknown().optional().describe("refused: this server keeps no conversations"),
  mcp_servers: z.array(z.unknown()).max(0, "this server calls no others").nullish(),
  container: z.null("this server has no containers").optional(),
  // Known so that servers that are strict take them; they change nothing here.
  metadata: z.unknown().optional(),
  service_tier: z.unknown().optional(),
  thinking: z.unknown().optional().describe("a model thinks as its chat template has it"),
});

/** The body of `POST /v1/messages/count_tokens`. */
export const countFields = messagesFields.extend({ max_tokens: z.int().min(1).nullish() });

type Fields = z.output<typeof countFields>;
type Block = Exclude<Fields["messages"][number]["content"], string>[number];

/** Reads the body of `POST /v1/messages`. */
export function readMessages(bytes: Uint8Array, rules: ReadingRules): Asked {
  return chatAsked(
    chatOf(readRequest(bytes, { schema: messagesFields, options: rules.options })),
    rules,
  );
}

/** Reads the body of `POST /v1/messages/count_tokens`, and answers it: how long the prompt would be. */
export function readMessageCount(bytes: Uint8Array, rules: ReadingRules): object {
  const body = chatOf(readRequest(bytes, { schema: countFields, options: rules.options }));
  checkModel(rules, body.model);
  const text = chatText(rules.tokenizer, body, askedTools(rules, body)?.tools);
  checkTexts(text.length, { maxText: rules.options.maxText, field: "messages" });
  return { input_tokens: ofText(text, rules.tokenizer, { special: false }).tokens.length };
}

/** The same conversation in OpenAI's words. */
function chatOf(body: Fields): z.output<typeof chatFields> {
  if (body.thread !== undefined && body.thread !== null) {
    throw new ApiError(
      400,
      "Cannot go on with a thread: this server keeps no conversations, expected all messages of it",
      { param: "thread", code: NO_THREADS },
    );
  }
  const { tools, tool_choice: choice } = body;
  const form = body.output_config?.format;
  const system = typeof body.system === "string" ? body.system : joined(body.system ?? []);
  const read = chatFields.safeParse({
    model: body.model,
    max_tokens: body.max_tokens,
    temperature: body.temperature,
    top_p: body.top_p,
    top_k: body.top_k,
    stop: body.stop_sequences,
    stream: body.stream,
    messages: [
      ...system === "" ? [] : [{ role: "system", content: system }],
      ...body.messages.flatMap(({ role, content }) =>
        typeof content === "string" ? [{ role, content }] : messagesOf(role, content)
      ),
    ],
    tools: tools?.map(({ name, description, input_schema: parameters }) => ({
      type: "function",
      function: { name, description, parameters },
    })),
    tool_choice: choiceOf(choice),
    parallel_tool_calls: choice?.disable_parallel_tool_use ? false : undefined,
    response_format: form && { type: form.type, json_schema: { schema: form.schema } },
  });
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const name = issue!.path.join(".");
  throw fieldError(`Cannot read "${name}": ${issue!.message}`, name);
}

function choiceOf(choice: Fields["tool_choice"]): unknown {
  switch (choice?.type) {
    case "any":
      return "required";
    case "tool":
      return { type: "function", function: { name: choice.name ?? "" } };
    default:
      return choice?.type;
  }
}

/** What came of calls stands in messages of its own, before the rest. */
function messagesOf(role: "user" | "assistant", content: readonly Block[]): object[] {
  const results = content.filter((block) => block.type === "tool_result").map((block) => ({
    role: "tool",
    tool_call_id: block.tool_use_id,
    content: typeof block.content === "string" ? block.content : joined(block.content ?? []),
  }));
  const calls = content.filter((block) => block.type === "tool_use").map(({ id, name, input }) => ({
    id,
    type: "function",
    function: { name, arguments: JSON.stringify(input) },
  }));
  const thoughts = content.filter((block) => block.type === "thinking");
  const texts = content.filter((block) => block.type === "text");
  if (texts.length + calls.length + thoughts.length === 0) return results;
  return [...results, {
    role,
    content: joined(texts),
    ...calls.length > 0 && { tool_calls: calls },
    ...thoughts.length > 0 && {
      reasoning_content: thoughts.map(({ thinking }) => thinking).join("\n"),
    },
  }];
}

function joined(blocks: readonly { readonly text: string }[]): string {
  return blocks.map(({ text }) => text).join("\n");
}
