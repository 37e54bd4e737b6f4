/** A row of a file: an object, or a text by itself, and where it stands. */
export interface DataRow {
  readonly value: unknown;
  /** Such as `corpus.jsonl:12`. */
  readonly at: string;
}

/** How the JSON of a file is laid out. */
export type RowsLayout = "JSON lines" | "JSON array";

const PLAIN = "or set plain: true if it is meant to be read as text";

/** How a text's beginning is laid out in JSON, where it looks like data. */
export function rowsLayout(beginning: string): RowsLayout | undefined {
  if (/^\s*\{\s*("|\}|$)/.test(beginning)) return "JSON lines";
  return /^\s*\[\s*(\{|"|\])/.test(beginning) ? "JSON array" : undefined;
}

/** The objects of JSON lines; throws a `SyntaxError` or `TypeError` with the line that is none. */
export async function* jsonLines(
  pieces: AsyncIterable<string>,
  path: string,
): AsyncGenerator<DataRow> {
  let number = 0;
  for await (const line of linesOf(pieces)) {
    number++;
    if (line.trim() === "") continue;
    const at = `${path}:${number}`;
    const value = parsed(line, at, number === 1 ? "an object a line or one array" : "an object");
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new TypeError(`Cannot read ${at}: it is no object, expected one a line, ${PLAIN}`);
    }
    yield { value, at };
  }
}

async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let begun: string[] = [];
  for await (const piece of pieces) {
    const lines = piece.split("\n");
    const last = lines.pop()!;
    for (const line of lines) {
      yield begun.join("") + line;
      begun = [];
    }
    begun.push(last);
  }
  yield begun.join("");
}

/** The elements of a JSON array, one in memory at a time; throws where it is none. */
export async function* jsonElements(
  pieces: AsyncIterable<string>,
  path: string,
): AsyncGenerator<DataRow> {
  const cutter = new ElementCutter(path);
  let number = 0;
  for await (const piece of pieces) {
    for (const element of cutter.cut(piece)) {
      const at = `element ${++number} of "${path}"`;
      yield { value: parsed(element, at, "an object or a text"), at };
    }
  }
  cutter.end();
}

/** Cuts the text of an array at the commas between its elements, and nowhere else. */
class ElementCutter {
  readonly #path: string;
  #begun: string[] = [];
  #depth = 0;
  #commas = 0;
  #quoted = false;
  #escaped = false;
  #closed = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Texts of the elements that end in the next piece. */
  *cut(piece: string): Generator<string> {
    let from = 0;
    for (let at = 0; at < piece.length; at++) {
      const code = piece.charCodeAt(at);
      if (this.#quoted) {
        if (this.#escaped) this.#escaped = false;
        else if (code === BACKSLASH) this.#escaped = true;
        else if (code === QUOTE) this.#quoted = false;
      } else if (code === QUOTE) this.#quoted = true;
      else if (code === BRACKET || code === BRACE) {
        if (this.#depth++ === 0) from = at + 1;
      } else if (code === END_BRACKET || code === END_BRACE) {
        if (--this.#depth > 0) continue;
        const element = this.#taken(piece.slice(from, at));
        this.#closed = true;
        if (element !== "" || this.#commas > 0) yield element;
        this.#checkRest(piece.slice(code === END_BRACKET ? at + 1 : at));
        return;
      } else if (code === COMMA && this.#depth === 1) {
        this.#commas++;
        yield this.#taken(piece.slice(from, at));
        from = at + 1;
      }
    }
    if (this.#closed) this.#checkRest(piece);
    else if (this.#depth > 0) this.#begun.push(piece.slice(from));
  }

  /** Throws where the array has not ended. */
  end(): void {
    if (this.#closed) return;
    throw new SyntaxError(
      `Cannot read "${this.#path}": its array does not end, expected ] behind the last element; ` +
        `fetch it again, ${PLAIN}`,
    );
  }

  #taken(rest: string): string {
    const element = (this.#begun.join("") + rest).trim();
    this.#begun = [];
    return element;
  }

  #checkRest(rest: string): void {
    if (rest.trim() === "") return;
    throw new SyntaxError(
      `Cannot read "${this.#path}": there is more behind its array, expected one array alone, ${PLAIN}`,
    );
  }
}

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [BRACKET, BRACE, END_BRACKET, END_BRACE] = [0x5b, 0x7b, 0x5d, 0x7d];

function parsed(text: string, at: string, expected: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`Cannot read ${at}: it is no JSON, expected ${expected}, ${PLAIN}`, {
      cause,
    });
  }
}
