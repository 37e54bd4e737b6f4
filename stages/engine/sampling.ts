import type { HostTensor } from "../../kernels/device/device.ts";
import { FORBIDDEN, type RowPenalties } from "../../kernels/penalize.ts";
import { sampleSettings } from "../../kernels/sample.ts";
import type { GenerationRequest, Sampling } from "./engine.ts";
import { type RowChanges, UNCHANGED } from "./logit_changes.ts";
import { generated, type Sequence } from "./sequence.ts";

/** How the next token of each sequence is drawn, where so many more were chosen that the host has not seen. */
export function settingsOf(
  sequences: readonly Sequence[],
  { ahead = 0 }: { readonly ahead?: number } = {},
): HostTensor {
  return sampleSettings(
    sequences.map((sequence) => ({
      ...sequence.request.sampling,
      step: generated(sequence) + ahead,
    })),
  );
}

/** Whether choosing a request's next token takes nothing but its logits. */
export function needsLogitsOnly(request: GenerationRequest): boolean {
  const { sampling, logprobs, grammar } = request;
  return logprobs === undefined && grammar === undefined && !changesLogits(sampling) &&
    !forbids(request);
}

/** What changes the logits that a sequence's next token is chosen from. */
export function changesOf(sequence: Sequence): RowChanges {
  const penalties = penaltiesOf(sequence);
  const allowed = sequence.constraint?.allowed;
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
function forbidden({ request, tokens }: Sequence): number[] {
  const { minTokens = 0, badWords = [], stopTokens, prompt } = request;
  const made = tokens.length - prompt.length;
  const words = badWords.filter((word) => {
    const before = word.length - 1;
    if (before > made) return false;
    return word.slice(0, -1).every((token, at) => tokens[tokens.length - before + at] === token);
  });
  const ends = made < minTokens ? stopTokens : [];
  return [...new Set([...ends, ...words.map((word) => word.at(-1)!)])];
}

/** A token that penalties concern, and what they know of it. */
type Entry = RowPenalties["entries"][number];

/** What penalties know of sequences' tokens, up to where they looked last. */
const known = new WeakMap<Sequence, { upTo: number; readonly entries: Map<number, Entry> }>();

/** What the tokens of a sequence are to its penalties; looks only at those that are new. */
function entriesOf(sequence: Sequence): ReadonlyMap<number, Entry> {
  const { request: { sampling, prompt }, tokens } = sequence;
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = sampling;
  let found = known.get(sequence);
  if (!found) known.set(sequence, found = { upTo: 0, entries: new Map() });
  const { entries } = found;
  const change = (token: number, how: (before: Entry) => Partial<Entry>) => {
    const before = entries.get(token) ?? { token, seen: false, times: 0, bias: 0 };
    entries.set(token, { ...before, ...how(before) });
  };
  if (found.upTo === 0) {
    for (const [token, bias] of logitBias) {
      change(token, (before) => ({ bias: before.bias + bias }));
    }
  }
  const repeated = repetitionPenalty !== 1;
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0;
  for (let at = found.upTo; (repeated || counted) && at < tokens.length; at++) {
    const isCounted = counted && at >= prompt.length;
    if (!repeated && !isCounted) continue;
    change(tokens[at]!, ({ times }) => ({ seen: repeated, times: times + Number(isCounted) }));
  }
  found.upTo = tokens.length;
  return entries;
}

/** What a sequence's request and tokens change in its logits; undefined where nothing. */
function penaltiesOf(sequence: Sequence): RowPenalties | undefined {
  const { sampling } = sequence.request;
  const never = forbidden(sequence);
  if (!changesLogits(sampling) && never.length === 0) return undefined;
  const entries = entriesOf(sequence);
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
