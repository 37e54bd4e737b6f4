import type { ScoredToken } from "../engine/engine.ts";
import type { PlacedToken } from "./answer.ts";
import { listJson } from "./json_pieces.ts";
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
  const lists = COMPLETION_LISTS.map(([name, entry]) => [
    name,
    tokens.map((token) => entry(token, spelling)),
  ]);
  return Object.fromEntries(lists);
}

/** The JSON of the same in pieces. */
export function* completionLogprobsJson(
  tokens: readonly PlacedToken[],
  spelling: Spelling,
): Generator<string> {
  for (const [at, [name, entry]] of COMPLETION_LISTS.entries()) {
    yield `${at > 0 ? "," : "{"}"${name}":`;
    yield* listJson(tokens, (some) => some.map((token) => entry(token, spelling)));
  }
  yield "}";
}

const COMPLETION_LISTS: readonly (readonly [
  name: string,
  entry: (token: PlacedToken, spelling: Spelling) => unknown,
])[] = [
  ["tokens", ({ token }, spelling) => spell(token, spelling)],
  ["token_logprobs", ({ logprob }) => logprob === undefined ? null : finite(logprob)],
  ["top_logprobs", dictionary],
  ["text_offset", ({ offset }) => offset],
];

/** Lays tokens out for chats. */
export function chatLogprobs(tokens: readonly ScoredToken[], spelling: Spelling) {
  return { content: chatEntries(tokens, spelling) };
}

/** The JSON of the same in pieces. */
export function* chatLogprobsJson(
  tokens: readonly ScoredToken[],
  spelling: Spelling,
): Generator<string> {
  yield '{"content":';
  yield* listJson(tokens, (some) => chatEntries(some, spelling));
  yield "}";
}

/**
 * The JSON of a prompt's scores as vLLM lays them out, in pieces: by token id its log-probability, its
 * place among all tokens where that is known, and its text; `null` for the first token.
 */
export function* promptLogprobsJson(
  scores: readonly ScoredToken[],
  { count, spelling }: { readonly count: number; readonly spelling: Spelling },
): Generator<string> {
  yield* listJson(
    [undefined, ...scores],
    (some) => some.map((one) => one ? promptEntry(one, count, spelling) : null),
  );
}

function promptEntry(
  { token, logprob = NaN, top = [] }: ScoredToken,
  count: number,
  spelling: Spelling,
) {
  const entries = new Map<number, object>();
  const entry = (id: number, score: number, rank: number | null) =>
    entries.set(id, { logprob: finite(score), rank, decoded_token: spell(id, spelling) });
  const rank = top.findIndex(([id]) => id === token);
  entry(token, logprob, rank < 0 ? null : rank + 1);
  for (const [at, [id, score]] of top.slice(0, count).entries()) entry(id, score, at + 1);
  return Object.fromEntries(entries);
}

function chatEntries(tokens: readonly ScoredToken[], spelling: Spelling) {
  const entry = (token: number, logprob: number) => ({
    token: spell(token, spelling),
    logprob: finite(logprob),
    bytes: [...spelling.tokenizer.bytes(token)],
  });
  return tokens.map(({ token, logprob = NaN, top = [] }) => ({
    ...entry(token, logprob),
    top_logprobs: top.map(([other, score]) => entry(other, score)),
  }));
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
