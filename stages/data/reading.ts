import { Buffer } from "node:buffer";
import { count, percent } from "../../pipeline/words.ts";
import type { GivenText } from "./text.ts";

/** What a tokenizer made of a text. */
export interface Tokenized {
  readonly ids: Uint32Array;
  /** Entries of the vocabulary. */
  readonly size: number;
  /** The id that stands for what the vocabulary lacks, if there is one. */
  readonly unknown: number | undefined;
}

/** What is worth saying of a text that was read, and what to beware of. */
export interface TextReading {
  readonly words: string;
  readonly data: Readonly<Record<string, string | number>>;
  readonly warnings: readonly string[];
}

/** Share of tokens that stand for something else, from which on a text is not what the model sees. */
const UNKNOWN_SHARE = 0.01;
/** Share of characters that no text has, from which on bytes were lost or are of something else. */
const STRANGE_SHARE = 0.001;
/**
 * Tokens a byte of UTF-8, for vocabularies from so many entries on. English takes 0.2 to 0.25, source
 * code 0.3 to 0.4; base64, hexadecimal numbers, and scripts that the tokenizer has no words of take more.
 */
const DENSE = [{ size: 8192, tokens: 0.5 }, { size: 0, tokens: 0.9 }] as const;

/** Says what a text was read from and how the tokenizer took it. */
export function tellReading(source: GivenText, { ids, size, unknown }: Tokenized): TextReading {
  const { text, form, documents, characters } = source;
  const unknowns = ids.reduce((sum, id) => id === unknown ? sum + 1 : sum, 0);
  const share = unknowns / Math.max(1, ids.length);
  const density = ids.length / Buffer.byteLength(text);
  const strange = text.match(STRANGE)?.length ?? 0;
  const usual = DENSE.find((each) => size >= each.size)!.tokens;
  const warnings = [
    share > UNKNOWN_SHARE &&
    `${percent(share, 1)} % of the tokens stand for what the vocabulary lacks: scores say little`,
    strange > STRANGE_SHARE * characters &&
    `${percent(strange / characters, 1)} % of the characters are U+FFFD or control characters, ` +
      "which stand for lost bytes or for no text at all",
    density > usual &&
    `${(ids.length / characters).toFixed(2)} tokens a character are as many as binary or encoded ` +
      "data takes, or a script that the tokenizer has no words of",
  ];
  return {
    words: `${count(ids.length, "token")} from ${count(characters, "character")} of ${
      count(documents, source.chat ? "conversation" : "document")
    } (${form}), ${unknowns === 0 ? "none" : `${percent(share, 2)} %`} unknown`,
    data: { tokens: ids.length, characters, documents, form, unknown: unknowns },
    warnings: warnings.filter((text) => text !== false),
  };
}

// deno-lint-ignore no-control-regex -- control characters are what is looked for
const STRANGE = /[\u0000-\u0008\u000e-\u001a\u001c-\u001f\ufffd]/g;
