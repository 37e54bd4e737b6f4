import { z } from "zod";
import { fieldError } from "../api_error.ts";
import type { Asked } from "../asked.ts";
import { chatFields } from "../chat_fields.ts";
import { chatAsked } from "../chat_request.ts";
import { readRequest } from "../read_request.ts";
import type { ReadingRules } from "../reading_rules.ts";

const parts = z.array(z.looseObject({
  type: z.enum(["input_text", "output_text", "text"], "this server reads texts only"),
  text: z.string(),
}));

/** One thing that was said or done so far. */
const item = z.union([
  z.looseObject({
    type: z.literal("message").nullish(),
    role: z.enum(["system", "developer", "user", "assistant"]),
    content: z.union([z.string(), parts]),
  }),
  z.looseObject({
    type: z.literal("function_call"),
    call_id: z.string(),
    name: z.string(),
    arguments: z.string(),
  }),
  z.looseObject({
    type: z.literal("function_call_output"),
    call_id: z.string(),
    output: z.union([z.string(), parts]),
  }),
  z.looseObject({ type: z.literal("reasoning") }),
], "expected a message, a function_call, a function_call_output or a reasoning");

const format = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("text") }),
  z.looseObject({ type: z.literal("json_object") }),
  z.looseObject({
    type: z.literal("json_schema"),
    name: z.string().nullish(),
    schema: z.record(z.string(), z.unknown()),
    strict: z.boolean().nullish(),
  }),
]);

/** The body of `POST /v1/responses`, as OpenAI has it; nothing is kept between requests. */
export const responsesFields = z.looseObject({
  model: z.string().nullish(),
  input: z.union(
    [z.string(), z.array(item).min(1)],
    "expected a text, or a list of messages, calls and what came of them",
  ),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  stream: z.boolean().nullish(),
  tools: z.array(z.looseObject({
    type: z.literal("function", "this server has functions only"),
    name: z.string(),
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: z.boolean().nullish(),
  })).nullish(),
  tool_choice: z.union([
    z.enum(["none", "auto", "required"]),
    z.looseObject({ type: z.literal("function"), name: z.string() }),
  ]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z.looseObject({ format: format.nullish() }).nullish(),
  previous_response_id: z.null("this server keeps no answers; send what was said as input")
    .nullish(),
  background: z.literal(false, "this server answers at once").nullish(),
  truncation: z.literal("disabled", "this server cuts nothing").nullish(),
  // Known so that servers that are strict take them; they change nothing here.
  store: z.unknown().optional().describe("nothing is kept"),
  metadata: z.unknown().optional(),
  reasoning: z.unknown().optional().describe("a model thinks as its chat template has it"),
  include: z.unknown().optional(),
});

type Fields = z.output<typeof responsesFields>;
type Item = Exclude<Fields["input"], string>[number];

/** Reads the body of `POST /v1/responses`. */
export function readResponses(bytes: Uint8Array, rules: ReadingRules): Asked {
  const body = readRequest(bytes, { schema: responsesFields, options: rules.options });
  const { tools, tool_choice: choice, text } = body;
  const form = text?.format;
  const said: Item[] = typeof body.input === "string"
    ? [{ role: "user", content: body.input }]
    : body.input;
  const read = chatFields.safeParse({
    model: body.model,
    max_completion_tokens: body.max_output_tokens,
    temperature: body.temperature,
    top_p: body.top_p,
    stream: body.stream,
    messages: [
      ...body.instructions ? [{ role: "system", content: body.instructions }] : [],
      ...messagesOf(said),
    ],
    tools: tools?.map(({ name, description, parameters, strict }) => ({
      type: "function",
      function: { name, description, parameters, strict },
    })),
    tool_choice: typeof choice === "object" && choice !== null
      ? { type: "function", function: { name: choice.name } }
      : choice,
    parallel_tool_calls: body.parallel_tool_calls,
    response_format: form?.type === "json_schema" ? { type: form.type, json_schema: form } : form,
  });
  if (!read.success) {
    const [issue] = read.error.issues;
    const name = issue!.path.join(".");
    throw fieldError(`Cannot read "${name}": ${issue!.message}`, name);
  }
  return { ...chatAsked(read.data, rules), echoed: echoedOf(body) };
}

/** Calls that follow each other belong to one message. */
function messagesOf(items: readonly Item[]): object[] {
  const made: { role: string; content: string; tool_calls?: object[]; tool_call_id?: string }[] =
    [];
  for (const one of items) {
    switch (one.type) {
      case "reasoning":
        break;
      case "function_call": {
        const { call_id: id, name, arguments: given } = one;
        const call = { id, type: "function", function: { name, arguments: given } };
        const last = made.at(-1);
        if (last?.role === "assistant") (last.tool_calls ??= []).push(call);
        else made.push({ role: "assistant", content: "", tool_calls: [call] });
        break;
      }
      case "function_call_output":
        made.push({ role: "tool", tool_call_id: one.call_id, content: plain(one.output) });
        break;
      default:
        made.push({ role: one.role, content: plain(one.content) });
    }
  }
  return made;
}

function plain(content: string | readonly { readonly text: string }[]): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("\n");
}

/** Fields that an answer has as the request had them, with what holds where nothing was said. */
function echoedOf(body: Fields): Record<string, unknown> {
  return {
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    temperature: body.temperature ?? 1,
    text: body.text ?? { format: { type: "text" } },
    tool_choice: body.tool_choice ?? "auto",
    tools: body.tools ?? [],
    top_p: body.top_p ?? 1,
    truncation: "disabled",
  };
}
