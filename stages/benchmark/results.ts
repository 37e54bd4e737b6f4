import type { Round } from "./throughput.ts";

/** What `report.json` of a benchmark states, under `benchmark`: that tells it from an evaluation's. */
export interface Benchmark {
  readonly title: string;
  readonly protocol: {
    /** Tokens of each prompt and of each answer. */
    readonly prompt: number;
    readonly output: number;
    readonly seed: number;
    /** What weights, a step and pages may take together, the same for every model. */
    readonly memoryBytes: number;
    /** Rounds that were not counted, and those that were. */
    readonly warmUp: number;
    readonly rounds: number;
  };
  readonly machine: Machine;
  /** When the run began that ended with the report; batches done before are of one that was stopped. */
  readonly began: string;
  readonly models: readonly MeasuredModel[];
}

/** What the figures hold for. */
export interface Machine {
  /** The adapter. */
  readonly device: string;
  readonly system: string;
  readonly cores: number;
  /** Processes that wanted to run in the minute before, by the system's count. */
  readonly loadBefore: number;
}

/** A model and its batches. */
export interface MeasuredModel {
  readonly label: string;
  readonly scheme: string;
  /** Content digest of the model; weights made up at random have none. */
  readonly digest?: string;
  readonly weightBytes: number;
  readonly kvBytesPerToken: number;
  /** The most sequences that fit, of those that were allowed. */
  readonly largestBatch: number;
  /** Why it was not measured. */
  readonly refused?: string;
  readonly batches: readonly MeasuredBatch[];
}

/** A batch and its rounds. */
export interface MeasuredBatch {
  readonly batch: number;
  /** Bytes of all pages that the engine took. */
  readonly pageBytes: number;
  readonly pages: number;
  /** The adapter that ran it, and when it was done. */
  readonly device: string;
  readonly at: string;
  readonly rounds: readonly Round[];
}

/** Tokens a second of a batch, by its median round. */
export interface Rates {
  /** Generated tokens by the whole time, as QServe's paper counts. */
  readonly throughput: number;
  /** Of prompts, until every sequence has its first token. */
  readonly prefill: number;
  /** Generated after that. */
  readonly decode: number;
  /** Milliseconds between two tokens of a sequence after that. */
  readonly tokenMs: number;
}

/** The rates of the round in the middle, the slower one of two. */
export function ratesOf({ batch, rounds }: Pick<MeasuredBatch, "batch" | "rounds">): Rates {
  const sorted = [...rounds].sort((a, b) => b.seconds - a.seconds);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)]!;
  const decodeSeconds = middle.seconds - middle.prefillSeconds;
  const decode = (middle.generatedTokens - middle.earlyTokens) / decodeSeconds;
  return {
    throughput: middle.generatedTokens / middle.seconds,
    prefill: middle.promptTokens / middle.prefillSeconds,
    decode,
    tokenMs: 1000 * batch / decode,
  };
}

/** The batch with the highest throughput; undefined where none was measured. */
export function bestOf(
  { batches }: Pick<MeasuredModel, "batches">,
): { readonly batch: MeasuredBatch; readonly rates: Rates } | undefined {
  return batches.map((batch) => ({ batch, rates: ratesOf(batch) }))
    .sort((a, b) => b.rates.throughput - a.rates.throughput)[0];
}

/** The machine at this moment. */
export function machineOf({ name }: { readonly name: string }): Machine {
  return {
    device: name,
    system: `${Deno.build.os} ${Deno.build.arch}`,
    cores: navigator.hardwareConcurrency,
    loadBefore: Deno.loadavg()[0] ?? 0,
  };
}
