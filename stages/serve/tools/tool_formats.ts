import { callsOf, type ToolCall, valueOfJson } from "./tool_call.ts";
import { gemmaCall, pythonCalls } from "./spelt_calls.ts";

/** How models of a family write calls. */
export interface ToolFormat {
  /** Texts that begin a part with calls; without any an answer is calls as a whole, or none. */
  readonly begins: readonly string[];
  /** The text that ends such a part; else the answer does. */
  readonly end?: string;
  /** Texts within a part that may be tokens of their own. */
  readonly inner?: readonly string[];
  /** How a call begins, up to its arguments in JSON, where these can be told as they come. */
  readonly starts?: readonly CallStart[];
  /** Whether a chat template tells that its model was trained so. */
  knows(template: string): boolean;
  /** The calls of a part; undefined where it has none. */
  read(part: string, names: ReadonlySet<string>): ToolCall[] | undefined;
  /** Ids of calls, where templates want them in some form. */
  id?(): string;
}

/** How a call begins that is read as it comes. */
export interface CallStart {
  /** From the end of what was read before to the brace of the arguments; the name is its group. */
  readonly pattern: RegExp;
  /** Whether the call is an object, which ends behind its arguments. */
  readonly object: boolean;
}

/** A call in JSON with its name first, in a list or not, behind another one or not. */
const OBJECT: CallStart = {
  pattern: new RegExp(
    String.raw`^\s*(?:[[,;]\s*)?\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?` +
      String
        .raw`"(?:name|function)"\s*:\s*"([\w.-]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)`,
  ),
  object: true,
};

/** A name and its arguments, behind Mistral's token. */
const NAMED: CallStart = {
  pattern: /^\s*(?:\[TOOL_CALLS\]\s*)?([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*(?=\{)/,
  object: false,
};

/** Formats by their names; of those that know a template the first is its model's. */
export const TOOL_FORMATS = {
  /** FunctionGemma: ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices. */
  functiongemma: {
    begins: ["<start_function_call>"],
    end: "<end_function_call>",
    inner: ["<escape>"],
    knows: (template) => template.includes("<start_function_call>"),
    read: gemmaCall,
  },
  /** Hermes 2 Pro and Qwen 2.5, 3: NousResearch/Hermes-Function-Calling, README. */
  hermes: {
    begins: ["<tool_call>"],
    end: "</tool_call>",
    starts: [OBJECT],
    knows: (template) => template.includes("<tool_call>"),
    read: (part, names) => callsOf(valueOfJson(part), names),
  },
  /** Mistral: a list behind the token, or since 2024 a name and its arguments each. */
  mistral: {
    begins: ["[TOOL_CALLS]"],
    inner: ["[ARGS]", "[CALL_ID]"],
    starts: [OBJECT, NAMED],
    knows: (template) => template.includes("[TOOL_CALLS]"),
    read: mistralCalls,
    // Its templates take nine letters and digits.
    id: () => crypto.randomUUID().replaceAll("-", "").slice(0, 9),
  },
  /** Llama 3.1 and 3.2: one object after another, with a token before them or not. */
  llama3: {
    begins: ["<|python_tag|>"],
    starts: [OBJECT],
    knows: (template) =>
      template.includes("<|start_header_id|>") && template.includes("parameters"),
    read: llamaCalls,
  },
  /** Gemma 3: ai.google.dev/gemma/docs/capabilities/function-calling, in both of its ways. */
  gemma: {
    begins: ["```tool_code", "```python", "```json"],
    end: "```",
    starts: [OBJECT],
    knows: (template) => template.includes("<start_of_turn>"),
    read: (part, names) => callsOf(valueOfJson(part), names) ?? pythonCalls(part, names),
  },
  /** Any model: an object with a name and arguments, or a list of them. */
  json: {
    begins: [],
    starts: [OBJECT],
    knows: () => true,
    read: (part, names) => callsOf(valueOfJson(part), names),
  },
} as const satisfies Readonly<Record<string, ToolFormat>>;

/** The name of a format. */
export type ToolFormatName = keyof typeof TOOL_FORMATS;

/** The format of a model by its chat template. */
export function toolFormatOf(template: string): ToolFormatName {
  const names = Object.keys(TOOL_FORMATS) as ToolFormatName[];
  return names.find((name) => TOOL_FORMATS[name].knows(template))!;
}

/** `[{...}, {...}]`, or `name[ARGS]{...}` and `name{...}`, which begin anew with every call. */
function mistralCalls(part: string, names: ReadonlySet<string>): ToolCall[] | undefined {
  const listed = callsOf(valueOfJson(part), names);
  if (listed) return listed;
  const each = part.split("[TOOL_CALLS]").map((one) => {
    const [, name, rest] =
      /^\s*([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*(\{[^]*\})\s*$/.exec(one) ??
        [];
    return name === undefined ? undefined : callsOf({ name, arguments: rest }, names);
  });
  return each.every((calls) => calls !== undefined) ? each.flat() : undefined;
}

/** `{...}; {...}`: objects that `;` or white space divides. */
function llamaCalls(part: string, names: ReadonlySet<string>): ToolCall[] | undefined {
  const whole = callsOf(valueOfJson(part), names);
  if (whole) return whole;
  const calls: ToolCall[] = [];
  let rest = part.trim();
  while (rest !== "") {
    const end = endOfObject(rest);
    const found = end === undefined ? undefined : callsOf(valueOfJson(rest.slice(0, end)), names);
    if (!found) return undefined;
    calls.push(...found);
    rest = rest.slice(end).replace(/^\s*[;,]?\s*/, "");
  }
  return calls.length > 0 ? calls : undefined;
}

/** Where the object ends with which a text begins. */
function endOfObject(text: string): number | undefined {
  if (!text.startsWith("{")) return undefined;
  let [depth, quoted] = [0, false];
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter === "\\") at++;
      else if (letter === '"') quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === "{") depth++;
    else if (letter === "}" && --depth === 0) return at + 1;
  }
  return undefined;
}
