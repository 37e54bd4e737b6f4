import type { HostTensor } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { FORBIDDEN, type RowPenalties } from "../../kernels/penalize.ts";
import { sampleSettings } from "../../kernels/sample.ts";
import type { GenerationRequest, Sampling } from "./engine.ts";
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
  return [...made < minTokens ? stopTokens : [], ...words.map((word) => word.at(-1)!)];
}

/** What a sequence's request and tokens change in its logits; undefined where nothing. */
export function penaltiesOf(sequence: Sequence): RowPenalties | undefined {
  const { request, tokens } = sequence;
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = request.sampling;
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0;
  const repeated = repetitionPenalty !== 1;
  const never = forbidden(sequence);
  if (!changesLogits(request.sampling) && never.length === 0) return undefined;
  const entries = new Map<number, { seen: boolean; times: number; bias: number }>();
  const entry = (token: number) => {
    const found = entries.get(token) ?? { seen: false, times: 0, bias: 0 };
    entries.set(token, found);
    return found;
  };
  const prompt = request.prompt.length;
  if (repeated) { for (const token of tokens) entry(token).seen = true; }
  if (counted) { for (const token of tokens.slice(prompt)) entry(token).times++; }
  for (const [token, bias] of logitBias) entry(token).bias += bias;
  for (const token of never) entry(token).bias = FORBIDDEN;
  return {
    repetition: repetitionPenalty,
    presence: presencePenalty,
    frequency: frequencyPenalty,
    entries: [...entries].map(([token, rest]) => ({ token, ...rest })),
  };
}

/** The penalties of a row that has none. */
export const UNCHANGED: RowPenalties = { repetition: 1, presence: 0, frequency: 0, entries: [] };

/**
 * Which tokens each of some sequences may choose, u32 [rows, columns / 32 rounded up], where one of
 * them has a grammar; undefined where none has.
 */
export function allowedOf(
  sequences: readonly (Sequence | undefined)[],
  columns: number,
): HostTensor | undefined {
  const masks = sequences.map((sequence) => sequence?.constraint?.allowed);
  if (masks.every((mask) => mask === undefined)) return undefined;
  const words = Math.ceil(columns / 32);
  const all = new Uint32Array(sequences.length * words).fill(0xffffffff);
  masks.forEach((mask, row) => {
    if (mask) all.fill(0, row * words, (row + 1) * words).set(mask.subarray(0, words), row * words);
  });
  return u32([sequences.length, words], all);
}
