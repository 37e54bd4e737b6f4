import type { TokenizerFiles } from "./checkpoint.ts";

/** Deepest nesting of a text of others: real ones stay below 20, and recursion ends near 5000. */
const DEEPEST = 200;

/** Bytes of a text beside the weights: the largest tokenizers have 35 MB, indices 10 MB. */
const LONGEST_TEXT = 2 ** 28;

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];
const [BRACKET, BRACE, END_BRACKET, END_BRACE] = [0x5b, 0x7b, 0x5d, 0x7d];

/** What a JSON text looks like before it is parsed. */
interface Outline {
  /** Members of objects, by the depth of the object from 1; those of equal names count twice. */
  readonly members: readonly number[];
  readonly depth: number;
}

/** The tokenizer that a directory holds as Hugging Face lays it out, if there is one. */
export async function readTokenizer(directory: string): Promise<TokenizerFiles | undefined> {
  const tokenizer = await readOptionalJson(`${directory}/tokenizer.json`);
  const config = await readOptionalJson(`${directory}/tokenizer_config.json`);
  return tokenizer === undefined ? undefined : { tokenizer, config: config ?? {} };
}

/** Texts of those of the files that a directory holds, by name. */
export async function readTexts(
  directory: string,
  names: readonly string[],
): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of names) {
    const text = await readOptionalText(`${directory}/${name}`);
    if (text !== undefined) files.set(name, text);
  }
  return files;
}

/** Those of the names that lie in a directory; links are followed. */
export async function namesThere(directory: string, names: readonly string[]): Promise<string[]> {
  const there: string[] = [];
  for (const name of names) {
    const found = await Deno.stat(`${directory}/${name}`).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    if (found) there.push(name);
  }
  return there;
}

/** A JSON file of others, undefined where there is none. */
export async function readOptionalJson(path: string): Promise<unknown> {
  const text = await readOptionalText(path);
  return text === undefined ? undefined : parseJson(text, path);
}

/** A small file's text, undefined where there is none; links are followed, as caches are full of them. */
export async function readOptionalText(path: string): Promise<string | undefined> {
  let found: Deno.FileInfo;
  try {
    found = await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  if (!found.isFile) throw new TypeError(`Cannot read "${path}": it is no file, expected one`);
  if (found.size > LONGEST_TEXT) {
    throw new RangeError(
      `Cannot read "${path}": it has ${found.size} bytes, expected at most ${LONGEST_TEXT}`,
    );
  }
  return await Deno.readTextFile(path);
}

/** Parses a text file of others; says which file is no JSON, or is nested too deeply for any use. */
function parseJson(text: string, path: string): unknown {
  const { depth } = outlineOf((at) => text.charCodeAt(at), text.length);
  if (depth > DEEPEST) {
    throw new RangeError(
      `Cannot read "${path}": its values are nested ${depth} deep, expected at most ${DEEPEST}`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    // The engine quotes what it stumbled over, line ends and all.
    const why = (cause as Error).message.replaceAll(/\s+/g, " ");
    throw new SyntaxError(`Cannot read "${path}": ${why}, expected JSON`, { cause });
  }
}

/** Counts members and depth of a JSON text from its units: bytes of UTF-8, or code units. */
export function outlineOf(unit: (at: number) => number, length: number): Outline {
  const members: number[] = [];
  let [level, depth] = [0, 0];
  let quoted = false;
  for (let at = 0; at < length; at++) {
    const code = unit(at);
    if (quoted) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === COLON) members[level] = (members[level] ?? 0) + 1;
    else if (code === BRACKET || code === BRACE) depth = Math.max(depth, ++level);
    else if (code === END_BRACKET || code === END_BRACE) level--;
  }
  return { members, depth };
}
