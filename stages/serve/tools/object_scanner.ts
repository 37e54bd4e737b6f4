/** What of a text belongs to an object. */
export interface ScannedText {
  /** That without the white space between parts. */
  readonly given: string;
  /** How many characters it was. */
  readonly length: number;
}

/** Finds where an object of JSON ends whose text comes in pieces, the first from its brace on. */
export class ObjectScanner {
  #depth: number;
  #quoted = false;
  #escaped = false;

  /** For one that stands `depth` braces deep already. */
  constructor(depth = 0) {
    this.#depth = depth;
  }

  /** Whether its last brace has come. */
  ended = false;

  /** Takes what belongs to it of the next piece. */
  take(text: string): ScannedText {
    let given = "";
    for (let at = 0; at < text.length; at++) {
      const letter = text[at]!;
      if (this.#quoted) {
        given += letter;
        if (this.#escaped) this.#escaped = false;
        else if (letter === "\\") this.#escaped = true;
        else if (letter === '"') this.#quoted = false;
        continue;
      }
      if (/\s/.test(letter)) continue;
      given += letter;
      if (letter === '"') this.#quoted = true;
      else if (letter === "{" || letter === "[") this.#depth++;
      else if ((letter === "}" || letter === "]") && --this.#depth === 0) {
        this.ended = true;
        return { given, length: at + 1 };
      }
    }
    return { given, length: text.length };
  }
}
