import type { ScoredToken } from "../engine/engine.ts";
import type { PlacedToken } from "./answer.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import { textOf } from "./text_stream.ts";

/** How tokens are spelt in log-probabilities. */
export interface Spelling {
  readonly tokenizer: ServedTokenizer;
  /** As `token_id:123` rather than their text. */
  readonly asIds: boolean;
}

/**
 * Lays tokens out for completions, a list each with an entry a token; one without a score, the first
 * of a prompt, has `null`.
 *
 * The number of a token is the same in both lists, and the dictionary has the likeliest one: lm-eval
 * compares them for equality. Two tokens with the same text stay two entries.
 */
export function completionLogprobs(tokens: readonly PlacedToken[], spelling: Spelling) {
  return {
    tokens: tokens.map(({ token }) => spell(token, spelling)),
    token_logprobs: tokens.map(({ logprob }) => logprob === undefined ? null : finite(logprob)),
    top_logprobs: tokens.map((token) => dictionary(token, spelling)),
    text_offset: tokens.map(({ offset }) => offset),
  };
}

/** Lays tokens out for chats. */
export function chatLogprobs(tokens: readonly ScoredToken[], spelling: Spelling) {
  const entry = (token: number, logprob: number) => ({
    token: spell(token, spelling),
    logprob: finite(logprob),
    bytes: [...spelling.tokenizer.bytes(token)],
  });
  return {
    content: tokens.map(({ token, logprob = NaN, top = [] }) => ({
      ...entry(token, logprob),
      top_logprobs: top.map(([other, score]) => entry(other, score)),
    })),
  };
}

function dictionary(
  { token, logprob, top = [] }: ScoredToken,
  spelling: Spelling,
): Readonly<Record<string, number>> | null {
  if (logprob === undefined) return null;
  const entries = new Map<string, number>();
  for (const [id, score] of [[token, logprob] as const, ...top]) {
    if (id === token && entries.size > 0) continue;
    const text = spell(id, spelling);
    entries.set(entries.has(text) ? `token_id:${id}` : text, finite(score));
  }
  return Object.fromEntries(entries);
}

function spell(id: number, { tokenizer, asIds }: Spelling): string {
  return asIds ? `token_id:${id}` : textOf(tokenizer, id);
}

/** JSON has no infinities; this is what vLLM puts for them. */
function finite(logprob: number): number {
  return logprob >= -9999 ? logprob : -9999;
}
