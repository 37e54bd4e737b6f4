import type { HostTensor } from "../../kernels/device/device.ts";
import { FORBIDDEN, type RowPenalties } from "../../kernels/penalize.ts";
import { sampleSettings } from "../../kernels/sample.ts";
import type { GenerationRequest, Sampling } from "./engine.ts";
import { type RowChanges, UNCHANGED } from "./logit_changes.ts";
import { generated, type Sequence } from "./sequence.ts";

/** A token that is drawn behind a sequence's tokens and those of a draft. */
export interface Draw {
  readonly sequence: Sequence;
  readonly draft: readonly number[];
}

/** The tokens that a chunk which reaches its sequence's last one is to draw, behind each of its draft. */
export function drawsOf(
  { sequence, draft }: { readonly sequence: Sequence; readonly draft: readonly number[] },
): Draw[] {
  return Array.from({ length: 1 + draft.length }, (_, at) => ({
    sequence,
    draft: draft.slice(0, at),
  }));
}

/** How tokens are drawn, where so many more were chosen that the host has not seen. */
export function settingsOf(
  draws: readonly Draw[],
  { ahead = 0 }: { readonly ahead?: number } = {},
): HostTensor {
  return sampleSettings(
    draws.map(({ sequence, draft }) => ({
      ...sequence.request.sampling,
      step: generated(sequence) + draft.length + ahead,
    })),
  );
}

/** Whether choosing a request's next token takes nothing but its logits. */
export function needsLogitsOnly(request: GenerationRequest): boolean {
  return request.logprobs === undefined && leavesLogits(request);
}

/** Whether a request's tokens are chosen from the logits as they are. */
export function leavesLogits(request: GenerationRequest): boolean {
  return request.grammar === undefined && !changesLogits(request.sampling) && !forbids(request);
}

/** What changes the logits that a token is chosen from. */
export function changesOf(draw: Draw): RowChanges {
  const { sequence: { constraint }, draft } = draw;
  const allowed = draft.length === 0 ? constraint?.allowed : constraint?.along[draft.length - 1];
  const never = forbidden(draw);
  // A grammar comes first: where it leaves nothing else, it is what it allows.
  const kept = allowed && never.length > 0 && !leavesOthers(allowed, never) ? [] : never;
  const penalties = penaltiesOf(draw, kept);
  if (!penalties && !allowed) return UNCHANGED;
  return { penalties: penalties ?? UNCHANGED.penalties, allowed };
}

/** Tokens that the penalties of a sequence concern at most. */
export function mostEntries({ request, tokens }: Sequence): number {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = request.sampling;
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0;
  const { badWords = [], stopTokens, prompt } = request;
  const seen = repetitionPenalty !== 1
    ? tokens.length
    : counted
    ? tokens.length - prompt.length
    : 0;
  return seen + logitBias.length + badWords.length + stopTokens.length;
}

/** Whether logits change before a token is chosen from them. */
function changesLogits(sampling: Sampling): boolean {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = sampling;
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0;
  return counted || repetitionPenalty !== 1 || logitBias.length > 0;
}

/** Whether there are tokens that it must not choose at some places. */
function forbids({ minTokens = 0, badWords = [] }: GenerationRequest): boolean {
  return minTokens > 0 || badWords.length > 0;
}

/** Tokens that must not come next. */
function forbidden({ sequence: { request, tokens }, draft }: Draw): number[] {
  const { minTokens = 0, badWords = [], stopTokens, prompt } = request;
  const made = tokens.length + draft.length - prompt.length;
  const tokenAt = (at: number) => at < tokens.length ? tokens[at] : draft[at - tokens.length];
  const words = badWords.filter((word) => {
    const before = word.length - 1;
    if (before > made) return false;
    const first = tokens.length + draft.length - before;
    return word.slice(0, -1).every((token, at) => tokenAt(first + at) === token);
  });
  const ends = made < minTokens ? stopTokens : [];
  return [...new Set([...ends, ...words.map((word) => word.at(-1)!)])];
}

/** Whether a mask allows tokens beside some. */
function leavesOthers(allowed: Uint32Array, tokens: readonly number[]): boolean {
  return allowed.some((bits, word) => {
    if (bits === 0) return false;
    const own = tokens.filter((token) => token >>> 5 === word);
    return own.reduce((left, token) => left & ~(1 << (token & 31)), bits) !== 0;
  });
}

/** A token that penalties concern, and what they know of it. */
type Entry = RowPenalties["entries"][number];

/** What penalties know of sequences' tokens, up to where they looked last. */
const known = new WeakMap<Sequence, { upTo: number; readonly entries: Map<number, Entry> }>();

/** What the tokens of a sequence are to its penalties; looks only at those that are new. */
function entriesOf(sequence: Sequence): Map<number, Entry> {
  const { request: { sampling: { logitBias } }, tokens } = sequence;
  let found = known.get(sequence);
  if (!found) {
    known.set(sequence, found = { upTo: 0, entries: new Map() });
    for (const [token, bias] of logitBias) {
      const before = found.entries.get(token) ?? { token, seen: false, times: 0, bias: 0 };
      found.entries.set(token, { ...before, bias: before.bias + bias });
    }
  }
  see(found.entries, sequence, tokens.slice(found.upTo), found.upTo);
  found.upTo = tokens.length;
  return found.entries;
}

/** Adds tokens that stand from a place on. */
function see(
  entries: Map<number, Entry>,
  { request: { sampling, prompt } }: Sequence,
  tokens: readonly number[],
  first: number,
): void {
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = sampling;
  const repeated = repetitionPenalty !== 1;
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0;
  for (const [at, token] of tokens.entries()) {
    const isCounted = counted && first + at >= prompt.length;
    if (!repeated && !isCounted) continue;
    const { times, bias } = entries.get(token) ?? { times: 0, bias: 0 };
    entries.set(token, { token, seen: repeated, times: times + Number(isCounted), bias });
  }
}

/** What a sequence's request, tokens and those that must not come change in its logits; undefined where nothing. */
function penaltiesOf(
  { sequence, draft }: Draw,
  never: readonly number[],
): RowPenalties | undefined {
  const { sampling } = sequence.request;
  if (!changesLogits(sampling) && never.length === 0) return undefined;
  let entries = entriesOf(sequence);
  if (draft.length > 0) {
    entries = new Map(entries);
    see(entries, sequence, draft, sequence.tokens.length);
  }
  const forbiddenOnes = never.map((token) => ({
    ...entries.get(token) ?? { token, seen: false, times: 0 },
    bias: FORBIDDEN,
  }));
  const rest = [...entries.values()];
  return {
    repetition: sampling.repetitionPenalty,
    presence: sampling.presencePenalty,
    frequency: sampling.frequencyPenalty,
    entries: never.length === 0
      ? rest
      : [...rest.filter(({ token }) => !never.includes(token)), ...forbiddenOnes],
  };
}
