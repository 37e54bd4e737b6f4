import { z } from "zod";
import { type Component, settings } from "./component.ts";
import { checkTokenizerLimit, TOKENIZER_LIMITS } from "./limits.ts";
import { type Merges, mergeSymbols } from "./merges.ts";
import type { TokenModel } from "./model.ts";
import { byteTokens, readVocabulary } from "./vocabulary.ts";

const bpeSettings = z.object({
  dropout: z.number().nullish(),
  unk_token: z.string().nullish(),
  continuing_subword_prefix: z.string().nullish(),
  end_of_word_suffix: z.string().nullish(),
  fuse_unk: z.boolean().nullish(),
  byte_fallback: z.boolean().nullish(),
  ignore_merges: z.boolean().nullish(),
});

/** Stretches whose tokens are remembered, and the longest of them. */
const CACHED = 2 ** 16;
const LONGEST_CACHED = 256;

/**
 * Byte-pair encoding as the Rust library does it, with its ways out for characters that the
 * vocabulary lacks: bytes, the unknown token, or nothing.
 */
export function makeBpe(component: Component): TokenModel {
  const options = settings(component, bpeSettings);
  if (options.dropout) {
    throw new TypeError(
      `Cannot use the tokenizer: its BPE has dropout ${options.dropout}, which makes tokens random, expected null`,
    );
  }
  const vocabulary = readVocabulary(component.vocab);
  const prefix = options.continuing_subword_prefix ?? "";
  const suffix = options.end_of_word_suffix ?? "";
  const merges = readMerges(component.merges, vocabulary, prefix);
  const unknown = options.unk_token ?? undefined;
  const unknownId = unknown === undefined ? undefined : vocabulary.get(unknown);
  const missing = () =>
    new TypeError(
      `Cannot make tokens: the vocabulary lacks the unknown token ${
        JSON.stringify(unknown)
      } that a text needs`,
    );

  const symbolsOf = (text: string): number[] => {
    const ids: number[] = [];
    let pending: number | undefined;
    const flush = () => {
      if (pending !== undefined) ids.push(pending);
      pending = undefined;
    };
    let at = 0;
    for (const character of text) {
      const begins = at === 0;
      at += character.length;
      const spelt = (begins ? "" : prefix) + character + (at === text.length ? suffix : "");
      const id = vocabulary.get(spelt);
      if (id !== undefined) {
        flush();
        ids.push(id);
        continue;
      }
      const bytes = options.byte_fallback ? byteTokens(spelt, vocabulary) : undefined;
      if (bytes) {
        ids.push(...bytes);
      } else if (unknown !== undefined) {
        if (unknownId === undefined) throw missing();
        if (!options.fuse_unk) flush();
        pending = unknownId;
      }
    }
    flush();
    return ids;
  };
  const cache = new Map<string, readonly number[]>();
  return {
    vocabulary,
    encode(text) {
      const known = cache.get(text);
      if (known) return known;
      const whole = options.ignore_merges ? vocabulary.get(text) : undefined;
      const ids = whole === undefined ? mergeSymbols(symbolsOf(text), merges) : [whole];
      if (text.length <= LONGEST_CACHED) {
        if (cache.size >= CACHED) cache.clear();
        cache.set(text, ids);
      }
      return ids;
    },
  };
}

function readMerges(
  json: unknown,
  vocabulary: ReadonlyMap<string, number>,
  prefix: string,
): Merges {
  if (!Array.isArray(json)) {
    throw new TypeError("Cannot use the tokenizer: its BPE has no merges, expected a list of them");
  }
  checkTokenizerLimit("merges", json.length, `its BPE has ${json.length} merges`);
  const ranks = new Map<number, number>();
  const made = new Int32Array(json.length);
  const idOf = (token: string, rank: number): number => {
    const id = vocabulary.get(token);
    if (id !== undefined) return id;
    throw new TypeError(
      `Cannot use the tokenizer: its merge ${rank} needs the token ${
        JSON.stringify(token.slice(0, 80))
      }, expected it in the vocabulary`,
    );
  };
  for (const [rank, merge] of json.entries()) {
    const [left, right, ...more] = typeof merge === "string"
      ? merge.split(" ")
      : Array.isArray(merge)
      ? merge
      : [];
    if (typeof left !== "string" || typeof right !== "string" || more.length > 0) {
      throw new TypeError(
        `Cannot use the tokenizer: its merge ${rank} is ${
          JSON.stringify(merge)?.slice(0, 80)
        }, expected two tokens`,
      );
    }
    const [a, b] = [idOf(left, rank), idOf(right, rank)];
    made[rank] = idOf(left + right.slice(prefix.length), rank);
    ranks.set(a * TOKENIZER_LIMITS.ids + b, rank);
  }
  return { ranks, made };
}
