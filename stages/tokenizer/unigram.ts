import { z } from "zod";
import { type Component, settings } from "./component.ts";
import { checkTokenizerLimit } from "./limits.ts";
import type { TokenModel } from "./model.ts";
import { Trie } from "./trie.ts";
import { byteTokens, checkTokenLength } from "./vocabulary.ts";

/** How much less likely than the least likely token an unknown character is, as a logarithm. */
const UNKNOWN_PENALTY = 10;

const pieces = z.array(z.tuple([z.string(), z.number()]));

/**
 * The likeliest way to cut text into pieces with scores, as the Rust library finds it; unknown
 * characters that follow each other are one piece.
 */
export function makeUnigram(component: Component): TokenModel {
  const { unk_id: unknown, byte_fallback: fallback } = settings(
    component,
    z.object({ unk_id: z.int().nonnegative().nullish(), byte_fallback: z.boolean().nullish() }),
  );
  const list = Array.isArray(component.vocab) ? component.vocab : [];
  checkTokenizerLimit("tokens", list.length, `its Unigram has ${list.length} tokens`);
  const { vocab } = settings(component, z.object({ vocab: pieces }));
  if (typeof unknown === "number" && unknown >= vocab.length) {
    throw new RangeError(
      `Cannot use the tokenizer: its Unigram has the unknown token ${unknown}, expected one below ${vocab.length}`,
    );
  }
  const vocabulary = new Map<string, number>();
  const trie = new Trie();
  for (const [id, [piece]] of vocab.entries()) {
    checkTokenLength(piece);
    vocabulary.set(piece, id);
    trie.add(piece, id);
  }
  const least = vocab.reduce((least, [, score]) => Math.min(least, score), Infinity);
  const missing = () =>
    new TypeError("Cannot make tokens: a text needs the unknown token, and the Unigram has none");

  const cut = (text: string): string[] => {
    const scores = new Float64Array(text.length + 1);
    const begins = new Int32Array(text.length + 1).fill(-1);
    const isUnknown = new Uint8Array(text.length + 1);
    const take = (from: number, to: number, score: number, odd: boolean) => {
      const whole = score + scores[from]!;
      if (begins[to] !== -1 && whole <= scores[to]!) return;
      scores[to] = whole;
      begins[to] = from;
      isUnknown[to] = odd ? 1 : 0;
    };
    for (let at = 0; at < text.length;) {
      const step = text.codePointAt(at)! > 0xffff ? 2 : 1;
      let single = false;
      for (const [end] of trie.prefixes(text, at)) {
        const id = vocabulary.get(text.slice(at, end))!;
        take(at, end, vocab[id]![1], id === unknown);
        single ||= end === at + step;
      }
      if (!single) {
        if (typeof unknown !== "number") throw missing();
        take(at, at + step, least - UNKNOWN_PENALTY, true);
      }
      at += step;
    }
    const parts: string[] = [];
    let pending = "";
    for (let end = text.length; end > 0; end = begins[end]!) {
      const part = text.slice(begins[end]!, end);
      if (isUnknown[end]) {
        pending = part + pending;
        continue;
      }
      if (pending !== "") parts.push(pending);
      pending = "";
      parts.push(part);
    }
    if (pending !== "") parts.push(pending);
    return parts.reverse();
  };
  return {
    vocabulary,
    encode: (text) =>
      cut(text).flatMap((part) => {
        const id = vocabulary.get(part);
        if (id !== undefined) return [id];
        const bytes = fallback ? byteTokens(part, vocabulary) : undefined;
        if (bytes) return bytes;
        if (typeof unknown !== "number") throw missing();
        return [unknown];
      }),
  };
}
