import type { ToolCall } from "./tool_call.ts";

/** A text that is read from a place on. */
interface Reading {
  readonly text: string;
  at: number;
}

/** A text that is no call. */
class NoCall extends Error {
  override readonly name = "NoCall";
}

/** `call:name{key:value, ...}` with texts between `<escape>`, as FunctionGemma writes it. */
export function gemmaCall(part: string, names: ReadonlySet<string>): ToolCall[] | undefined {
  const [head, name] = /^\s*call:([\w.-]+)(?=\{)/.exec(part) ?? [];
  if (name === undefined || !names.has(name)) return undefined;
  return attempted(() => {
    const reading = { text: part, at: head!.length };
    return [{ name, arguments: JSON.stringify(gemmaValue(reading)) }];
  });
}

function gemmaValue(reading: Reading): unknown {
  skip(reading);
  if (take(reading, "<escape>")) {
    const end = reading.text.indexOf("<escape>", reading.at);
    if (end < 0) throw new NoCall("a text has no end");
    const text = reading.text.slice(reading.at, end);
    reading.at = end + "<escape>".length;
    return text;
  }
  if (take(reading, "{")) {
    return Object.fromEntries(listOf(reading, "}", () => {
      const key = matched(reading, /[^:{}[\],]+(?=:)/y).trim();
      take(reading, ":");
      return [key.replaceAll("<escape>", ""), gemmaValue(reading)] as const;
    }));
  }
  if (take(reading, "[")) return listOf(reading, "]", () => gemmaValue(reading));
  return plain(matched(reading, /[^,}\]]+/y).trim());
}

/** Calls as Python spells them, each with named arguments that are literals: `f(a=1, b="x")`. */
export function pythonCalls(part: string, names: ReadonlySet<string>): ToolCall[] | undefined {
  return attempted(() => {
    const reading = { text: part, at: 0 };
    const calls: ToolCall[] = [];
    skip(reading);
    const list = take(reading, "[");
    for (skip(reading); reading.at < part.length; skip(reading)) {
      if (list && take(reading, "]")) break;
      calls.push(pythonCall(reading, names));
      skip(reading);
      take(reading, ",");
    }
    if (calls.length === 0) throw new NoCall("there is none");
    return calls;
  });
}

function pythonCall(reading: Reading, names: ReadonlySet<string>): ToolCall {
  const name = matched(reading, /[A-Za-z_][\w.]*(?=\()/y);
  take(reading, "(");
  // What it would print is what the caller wants to know.
  if (name === "print" && !names.has(name)) {
    const call = pythonCall(reading, names);
    skip(reading);
    if (!take(reading, ")")) throw new NoCall("print has more than a call");
    return call;
  }
  if (!names.has(name)) throw new NoCall(`there is no ${name}`);
  const given = listOf(reading, ")", () => {
    const key = matched(reading, /[A-Za-z_]\w*(?=\s*=)/y);
    skip(reading);
    take(reading, "=");
    return [key, pythonValue(reading)] as const;
  });
  return { name, arguments: JSON.stringify(Object.fromEntries(given)) };
}

function pythonValue(reading: Reading): unknown {
  skip(reading);
  const quote = reading.text[reading.at];
  if (quote === '"' || quote === "'") {
    const text = matched(reading, quote === '"' ? /"(?:[^"\\\n]|\\.)*"/y : /'(?:[^'\\\n]|\\.)*'/y);
    return text.slice(1, -1).replaceAll(/\\(.)/g, (_, letter) => ESCAPES[letter] ?? letter);
  }
  if (take(reading, "[")) return listOf(reading, "]", () => pythonValue(reading));
  if (take(reading, "{")) {
    return Object.fromEntries(listOf(reading, "}", () => {
      const key = String(pythonValue(reading));
      skip(reading);
      if (!take(reading, ":")) throw new NoCall("a key has no value");
      return [key, pythonValue(reading)] as const;
    }));
  }
  const word = matched(reading, /[\w.+-]+/y);
  const known = CONSTANTS[word];
  if (known !== undefined) return known;
  const number = Number(word);
  if (Number.isNaN(number)) throw new NoCall(`${word} is no literal`);
  return number;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };
const CONSTANTS: Readonly<Record<string, unknown>> = { True: true, False: false, None: null };

function plain(word: string): unknown {
  try {
    return JSON.parse(word);
  } catch {
    return word;
  }
}

function listOf<T>(reading: Reading, end: string, read: () => T): T[] {
  const all: T[] = [];
  for (skip(reading); !take(reading, end); skip(reading)) {
    if (all.length > 0 && !take(reading, ",")) throw new NoCall("a list has no end");
    skip(reading);
    if (take(reading, end)) break;
    all.push(read());
  }
  return all;
}

function matched(reading: Reading, pattern: RegExp): string {
  pattern.lastIndex = reading.at;
  const found = pattern.exec(reading.text)?.[0];
  if (found === undefined) throw new NoCall(`nothing is known at ${reading.at}`);
  reading.at += found.length;
  return found;
}

function skip(reading: Reading): void {
  while (/\s/.test(reading.text[reading.at] ?? "")) reading.at++;
}

function take(reading: Reading, mark: string): boolean {
  if (!reading.text.startsWith(mark, reading.at)) return false;
  reading.at += mark.length;
  return true;
}

function attempted<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof NoCall) return undefined;
    throw error;
  }
}
