import type { Tool } from "./tool_fields.ts";

/** A message as a chat template gets it. */
type Message = Readonly<Record<string, unknown>>;

/** A call as a message has it. */
interface SaidCall {
  readonly function: { readonly name: string; readonly arguments?: unknown };
}

/** Messages as templates want them that know of functions: arguments as values rather than as JSON. */
export function withCallValues(message: Message): Message {
  const calls = message["tool_calls"];
  if (!Array.isArray(calls) || calls.length === 0) {
    const { tool_calls: _, ...rest } = message;
    return rest;
  }
  return {
    ...message,
    tool_calls: calls.map((call: SaidCall) => ({
      type: "function",
      ...call,
      function: { ...call.function, arguments: valueOf(call.function.arguments) },
    })),
  };
}

/**
 * Tells a model of functions whose template does not: what there is stands in the first message of the
 * system, calls and what came of them in messages as all models know them.
 */
export function withToolsTold(messages: readonly Message[], tools: readonly Tool[]): Message[] {
  const told = messages.map(withCallsTold);
  if (tools.length === 0) return told;
  const lines = tools.map(({ function: { name, description, parameters } }) =>
    JSON.stringify({ name, description: description ?? "", parameters: parameters ?? {} })
  );
  const text = "You can call functions. To call some, answer with nothing but a JSON list of " +
    'objects {"name": <name>, "arguments": <object>}. The functions are:\n' + lines.join("\n");
  const [first, ...rest] = told;
  return first?.["role"] === "system"
    ? [{ ...first, content: `${first["content"] ?? ""}\n\n${text}` }, ...rest]
    : [{ role: "system", content: text }, ...told];
}

function withCallsTold(message: Message): Message {
  const { tool_calls: calls, tool_call_id: _, ...rest } = message;
  if (message["role"] === "tool") {
    return { role: "user", content: `Result: ${message["content"] ?? ""}` };
  }
  if (!Array.isArray(calls) || calls.length === 0) return rest;
  const made = calls.map(({ function: { name, arguments: given } }: SaidCall) => ({
    name,
    arguments: valueOf(given),
  }));
  return { ...rest, content: `${message["content"] ?? ""}${JSON.stringify(made)}` };
}

function valueOf(given: unknown): unknown {
  if (typeof given !== "string") return given ?? {};
  try {
    return JSON.parse(given);
  } catch {
    // A model may have written what is none; it then sees what it wrote.
    return given;
  }
}
