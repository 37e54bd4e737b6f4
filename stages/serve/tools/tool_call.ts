/** A call of a function as a model wrote it; the arguments are JSON. */
export interface ToolCall {
  readonly name: string;
  readonly arguments: string;
}

/** Calls that a value of JSON spells: an object or a list of them, of functions that there are. */
export function callsOf(value: unknown, names: ReadonlySet<string>): ToolCall[] | undefined {
  const list = Array.isArray(value) ? value : [value];
  const calls = list.map((one) => callOf(one, names));
  return calls.length > 0 && calls.every((call) => call !== undefined) ? calls : undefined;
}

function callOf(value: unknown, names: ReadonlySet<string>): ToolCall | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const said = value as Readonly<Record<string, unknown>>;
  // Some models write what a request has: {"type": "function", "function": {...}}.
  if (typeof said["function"] === "object") return callOf(said["function"], names);
  const name = said["name"] ?? said["function"];
  if (typeof name !== "string" || !names.has(name)) return undefined;
  const given = said["arguments"] ?? said["parameters"] ?? {};
  const text = typeof given === "string" ? given : JSON.stringify(given);
  return isJson(text) ? { name, arguments: text } : undefined;
}

/** The JSON of a text, with a fence of Markdown round it or not; undefined where it is none. */
export function valueOfJson(text: string): unknown {
  const [, fenced] = /^\s*```(?:json)?\s*\n([^]*?)\n?\s*```\s*$/.exec(text) ?? [];
  try {
    return JSON.parse(fenced ?? text);
  } catch {
    return undefined;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
