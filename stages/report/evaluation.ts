import type { ModelFacts } from "../models/model_facts.ts";
import type { TaskResults } from "./task_result.ts";

/** What was scored and how: reports can be compared where all of it is equal. */
export interface Protocol {
  readonly id: string;
  readonly context: number;
  readonly windows: number;
  /** Sha256 of the scored token ids, little-endian u32. */
  readonly tokens: string;
}

/** What llama.cpp's own program would say of the same windows, see `llamaCppScores`. */
export interface LlamaCppScores {
  /** What was scored and how, for these are not comparable with those of `Protocol`. */
  readonly protocol: string;
  readonly tokens: number;
  readonly perplexity: number;
  readonly perplexityError: number;
  /** Mean of KL(baseline || model), in nats. */
  readonly kl: number;
  readonly klError: number;
  /** What 99 % of the tokens stay below. */
  readonly kl99: number;
  /** Share of tokens for which the likeliest token is the baseline's. */
  readonly top1: number;
  readonly top1Error: number;
}

/** What `report.json` of an evaluation states. */
export interface Evaluation {
  readonly scores: {
    readonly perplexity: number;
    /** Against the baseline: its perplexity is 1. */
    readonly perplexity_ratio?: number;
    /** Mean of KL(baseline || model) over the scored tokens, in nats. */
    readonly kl?: number;
    /** Share of tokens for which the likeliest token is the baseline's. */
    readonly top1?: number;
  };
  readonly protocol: Protocol;
  readonly model: ModelFacts & { readonly digest: string };
  /** Content digest of the baseline's model. */
  readonly baseline?: string;
  /** Mean negative log-likelihood of each window, in nats. */
  readonly windowMeans: readonly number[];
  /** Mean divergence of each window, and its share of agreeing tokens, where there is a baseline. */
  readonly windowKl?: readonly number[];
  readonly windowTop1?: readonly number[];
  /** Where there is a baseline and windows begin with the text's own tokens. */
  readonly llamaCpp?: LlamaCppScores;
  /** Whether `hidden.f32` holds the inputs of the head. */
  readonly hidden: boolean;
  /** What tasks found, where there were any; their items are in `items-<task>.jsonl`. */
  readonly tasks?: TaskResults;
}

const FILE = "report.json";

/** Writes the report of an evaluation. */
export async function writeEvaluation(directory: string, evaluation: Evaluation): Promise<void> {
  const text = JSON.stringify(evaluation, undefined, 2);
  await Deno.writeTextFile(`${directory}/${FILE}`, `${text}\n`);
}

/** Reads the report of an evaluation; throws a `TypeError` where it is a report of something else. */
export async function readEvaluation(directory: string): Promise<Evaluation> {
  const path = `${directory}/${FILE}`;
  const report: Partial<Evaluation> = JSON.parse(await Deno.readTextFile(path));
  const { scores, protocol, model } = report;
  if (scores?.perplexity !== undefined && protocol && model) return report as Evaluation;
  throw new TypeError(
    `Cannot read "${path}": it holds no perplexity with protocol and model, expected the report of an evaluate step`,
  );
}

/** What differs between two protocols, in words; undefined where nothing does. */
export function protocolDifference(got: Protocol, expected: Protocol): string | undefined {
  for (const key of ["id", "context", "windows", "tokens"] as const) {
    if (got[key] === expected[key]) continue;
    const words = (value: string | number) =>
      key === "tokens" ? String(value).slice(0, 12) : `${value}`;
    const name = key === "tokens" ? "the digest of its tokens" : `its ${key}`;
    return `${name} is ${words(got[key])}, expected ${words(expected[key])}`;
  }
}
