import { AT_ONCE_BYTES } from "./file_bytes.ts";
import { checkFileLimit } from "./file_limits.ts";

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [BRACKET, BRACE, END_BRACKET, END_BRACE] = [0x5b, 0x7b, 0x5d, 0x7d];

/** What a JSON text looks like before it is parsed. */
interface Outline {
  /** Members of objects, by the depth of the object from 1; those of equal names count twice. */
  readonly members: readonly number[];
  readonly depth: number;
  /** Values in lists and objects, those that are lists or objects among them; one too many where empty. */
  readonly values: number;
}

/** Texts of those of the files that a directory holds, by name. */
export async function readTexts(
  directory: string,
  names: readonly string[],
): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of namesThere(directory, names)) {
    const text = await readOptionalText(`${directory}/${name}`);
    if (text !== undefined) files.set(name, text);
  }
  return files;
}

/** Those of the names that lie in a directory; links are followed. */
export function namesThere(directory: string, names: readonly string[]): string[] {
  const listed = new Set(
    orNone(() => [...Deno.readDirSync(directory)])?.map(({ name }) => name),
  );
  return names.filter((name) =>
    listed.has(name) && orNone(() => Deno.statSync(`${directory}/${name}`))
  );
}

/** A JSON file of others, undefined where there is none. */
export async function readOptionalJson(path: string): Promise<unknown> {
  const text = await readOptionalText(path);
  return text === undefined ? undefined : parseJson(text, path);
}

/** A small file's text, undefined where there is none; links are followed, as caches are full of them. */
export async function readOptionalText(path: string): Promise<string | undefined> {
  const found = orNone(() => Deno.statSync(path));
  if (!found) return undefined;
  if (!found.isFile) throw new TypeError(`Cannot read "${path}": it is no file, expected one`);
  checkFileLimit("text", found.size, { path, what: `it has ${found.size} bytes` });
  return found.size > AT_ONCE_BYTES ? await Deno.readTextFile(path) : Deno.readTextFileSync(path);
}

/** What the system says of a path, undefined where there is none. */
function orNone<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Parses a text file of others; says which file is no JSON, or holds more than any. */
function parseJson(text: string, path: string): unknown {
  const { depth, members, values } = outlineOf((at) => text.charCodeAt(at), text.length);
  const named = members.reduce((sum, some) => sum + some, 0);
  checkFileLimit("depth", depth, { path, what: `its values are nested ${depth} deep` });
  checkFileLimit("members", named, { path, what: `its objects have ${named} members` });
  checkFileLimit("values", values, { path, what: `it has ${values} values` });
  try {
    return JSON.parse(text);
  } catch (cause) {
    // The engine quotes what it stumbled over, line ends and all.
    const why = (cause as Error).message.replaceAll(/\s+/g, " ");
    throw new SyntaxError(`Cannot read "${path}": ${why}, expected JSON`, { cause });
  }
}

/** Counts members, depth and values of a JSON text from its units: bytes of UTF-8, or code units. */
export function outlineOf(unit: (at: number) => number, length: number): Outline {
  const members: number[] = [];
  let [level, depth, values] = [0, 0, 0];
  let quoted = false;
  for (let at = 0; at < length; at++) {
    const code = unit(at);
    if (quoted) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === COLON) members[level] = (members[level] ?? 0) + 1;
    else if (code === COMMA) values++;
    else if (code === BRACKET || code === BRACE) {
      depth = Math.max(depth, ++level);
      values++;
    } else if (code === END_BRACKET || code === END_BRACE) level--;
  }
  return { members, depth, values };
}
