import { checkTokenId, checkTokenizerLimit } from "./limits.ts";

/** Reads a vocabulary that is an object of ids by token; each id belongs to one token. */
export function readVocabulary(json: unknown): Map<string, number> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new TypeError(
      "Cannot use the tokenizer: its vocabulary is no object, expected ids by token",
    );
  }
  const entries = Object.entries(json);
  checkTokenizerLimit("tokens", entries.length, `its vocabulary has ${entries.length} tokens`);
  for (const [token, id] of entries) {
    checkTokenId(id, token);
    checkTokenLength(token);
  }
  return new Map(entries as [string, number][]);
}

/** Refuses a token that is longer than any. */
export function checkTokenLength(token: string): void {
  checkTokenizerLimit(
    "tokenLength",
    token.length,
    `one of its tokens has ${token.length} characters`,
  );
}

/** Whether the vocabulary has a token for every byte that it needs: their ids, if so. */
export function byteTokens(
  text: string,
  vocabulary: ReadonlyMap<string, number>,
): number[] | undefined {
  const ids: number[] = [];
  for (const byte of UTF8.encode(text)) {
    const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

const UTF8 = new TextEncoder();
