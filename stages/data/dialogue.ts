/** One message of a conversation, as chat templates take it. */
export interface DialogueTurn {
  readonly role: string;
  readonly [field: string]: unknown;
}

/** A conversation of a file. */
export interface Dialogue {
  readonly turns: readonly DialogueTurn[];
  /** What the assistant may call, where the row says it. */
  readonly tools?: readonly unknown[];
}

/** Roles as data sets in the form of ShareGPT call them. */
const ROLES: Readonly<Record<string, string>> = {
  system: "system",
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  model: "assistant",
  chatgpt: "assistant",
  bing: "assistant",
  bard: "assistant",
  tool: "tool",
  observation: "tool",
};

/**
 * The conversation that a value is: messages with `role` and `content`, or with `from` and `value`;
 * `system` and `tools` of the row belong to it.
 *
 * Undefined where the value is no list of objects; throws a `TypeError` that names the message.
 */
export function dialogueOf(
  value: unknown,
  row: Readonly<Record<string, unknown>>,
  at: string,
): Dialogue | undefined {
  if (!Array.isArray(value) || !value.every(isObject)) return undefined;
  if (value.length === 0) {
    throw new TypeError(`Cannot read ${at}: it is an empty list, expected messages`);
  }
  const turns = value.map((message, index) => turnOf(message, `message ${index + 1} of ${at}`));
  const { system, tools } = row;
  const led = typeof system === "string" && system !== "" && turns[0]?.role !== "system";
  return {
    turns: led ? [{ role: "system", content: system }, ...turns] : turns,
    ...Array.isArray(tools) && tools.length > 0 && { tools },
  };
}

function turnOf(message: Readonly<Record<string, unknown>>, at: string): DialogueTurn {
  const { role, from, value, ...rest } = message;
  // Columns of parquet have every field in every message.
  const stated = (each: unknown) => each !== undefined && each !== null;
  if (typeof role === "string" && !stated(from)) {
    const given = Object.entries({ ...rest, ...stated(value) && { value } })
      .filter(([name, field]) => name === "content" || stated(field));
    return { ...Object.fromEntries(given), role };
  }
  const known = typeof from === "string" ? ROLES[from.toLowerCase()] : undefined;
  if (known !== undefined && typeof value === "string") return { role: known, content: value };
  throw new TypeError(
    `Cannot read ${at}: ${
      typeof from === "string" && typeof value === "string"
        ? `it is from ${JSON.stringify(from)}, expected one of ${Object.keys(ROLES).join(", ")}`
        : `it has ${
          Object.keys(message).join(", ") || "no fields"
        }, expected role and content, or from and value`
    }`,
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
