import type { HostTensor } from "../../kernels/device/device.ts";
import type { RowPenalties } from "../../kernels/penalize.ts";
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
export function needsLogitsOnly({ sampling, logprobs }: GenerationRequest): boolean {
  return logprobs === undefined && !changesLogits(sampling);
}

/** Whether logits change before a token is chosen from them. */
function changesLogits(sampling: Sampling): boolean {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = sampling;
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0;
  return counted || repetitionPenalty !== 1 || logitBias.length > 0;
}

/** What a sequence's request and tokens change in its logits; undefined where nothing. */
export function penaltiesOf({ request, tokens }: Sequence): RowPenalties | undefined {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = request.sampling;
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0;
  const repeated = repetitionPenalty !== 1;
  if (!changesLogits(request.sampling)) return undefined;
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
  return {
    repetition: repetitionPenalty,
    presence: presencePenalty,
    frequency: frequencyPenalty,
    entries: [...entries].map(([token, rest]) => ({ token, ...rest })),
  };
}

/** The penalties of a row that has none. */
export const UNCHANGED: RowPenalties = { repetition: 1, presence: 0, frequency: 0, entries: [] };
