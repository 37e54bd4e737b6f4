import type { TokenBytes } from "./token_bytes.ts";

/** Turns tokens into text as they come; a character is given when its last byte is there. */
export interface TextStream {
  /** The text that this token completes. */
  push(id: number): string;
  /** What is left: U+FFFD for the bytes of a character that was not finished. */
  end(): string;
}

/**
 * Starts a text at its first token, or, `within` one, behind others.
 *
 * Tokens that are no text are left out unless `special` is set, but for those in `marks`.
 */
export function openTextStream(
  tokens: TokenBytes,
  { within = true, special = false, marks = [] }: {
    readonly within?: boolean;
    readonly special?: boolean;
    readonly marks?: readonly number[];
  },
): TextStream {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let drop = !within && tokens.dropsFirstSpace;
  return {
    push(id) {
      if (!special && tokens.special(id) && !marks.includes(id)) return "";
      const text = decoder.decode(tokens.bytes(id), { stream: true });
      if (!drop || text === "" || tokens.special(id)) return text;
      drop = false;
      return text.startsWith(" ") ? text.slice(1) : text;
    },
    end: () => decoder.decode(),
  };
}

const WHOLE = new TextDecoder("utf-8", { ignoreBOM: true });

/** Texts of tokens by themselves: answers with log-probabilities ask for some tokens very often. */
const known = new WeakMap<TokenBytes, Map<number, string>>();

/** The text of one token by itself; U+FFFD where it is a part of a character. */
export function textOf(tokens: TokenBytes, id: number): string {
  const texts = known.get(tokens) ?? new Map<number, string>();
  known.set(tokens, texts);
  const found = texts.get(id) ?? WHOLE.decode(tokens.bytes(id));
  // Ids that no token has would make it grow without end.
  if (found !== "") texts.set(id, found);
  return found;
}

/** Characters of a text, as Python counts them. */
export function codePoints(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xFFFF ? 2 : 1) count++;
  return count;
}
