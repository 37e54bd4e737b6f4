import type { ModelFacts } from "../models/model_facts.ts";
import {
  type Evaluation,
  type LlamaCppScores,
  type Protocol,
  protocolDifference,
} from "./evaluation.ts";
import { type PairedWindows, pairedWindows, standardErrorOf } from "./paired.ts";
import type { TaskResults } from "./task_result.ts";

/** One evaluated model in a comparison. */
export interface Row {
  readonly label: string;
  /** Precision of weights, activations and KV cache, in words. */
  readonly scheme: string;
  readonly bitsPerWeight: number;
  readonly weightBytes: number;
  readonly kvBytesPerToken: number;
  readonly perplexity: number;
  /** Standard error of the perplexity over the windows of the text; not known of a single one. */
  readonly perplexityError?: number;
  /** Perplexity by that of the first row. */
  readonly ratio: number;
  /** KL divergence from the baseline in nats a token, where there was one, and its error over windows. */
  readonly kl?: number;
  readonly klError?: number;
  /** Share of tokens whose likeliest token is the baseline's, where there was one, and its error. */
  readonly top1?: number;
  readonly top1Error?: number;
  /** How the row differs from the one before it, and from the best one behind the first. */
  readonly before?: RowDifference;
  readonly best?: RowDifference;
  /** What llama.cpp's own program would say, where there was a baseline. */
  readonly llamaCpp?: LlamaCppScores;
  /** What quantizing the linears of each layer cost, as the model records it. */
  readonly layers: ModelFacts["layers"];
  /** What the KV cache of each layer costs, as the model records it. */
  readonly kvErrors: ModelFacts["kvErrors"];
  /** What tasks found, where there were any. */
  readonly tasks?: TaskResults;
}

/** How a row differs from another one, window by window. */
export interface RowDifference {
  /** The label of the other one. */
  readonly of: string;
  /** Mean negative log-likelihoods, so that a difference of 0.01 is 1 % of perplexity. */
  readonly nll: PairedWindows;
  readonly kl?: PairedWindows;
}

/** What a comparison shows. */
export interface Comparison {
  readonly title: string;
  readonly protocol: Protocol;
  readonly rows: readonly Row[];
}

/**
 * Rows of evaluations, in their order; a label is the model's scheme unless said.
 *
 * Throws a `RangeError` where there are not as many labels, and a `TypeError` where the evaluations
 * do not share a protocol.
 */
export function compareEvaluations(
  evaluations: readonly Evaluation[],
  { title, labels }: { readonly title: string; readonly labels: readonly string[] | undefined },
): Comparison {
  const [first] = evaluations;
  if (!first) throw new RangeError("Cannot compare no reports: expected at least one");
  if (labels && labels.length !== evaluations.length) {
    throw new RangeError(
      `Cannot label ${evaluations.length} reports: there are ${labels.length} labels, expected one a report`,
    );
  }
  for (const [index, { protocol }] of evaluations.entries()) {
    const difference = protocolDifference(protocol, first.protocol);
    if (difference === undefined) continue;
    throw new TypeError(
      `Cannot compare report ${
        index + 1
      } with the first: ${difference}; evaluate all models on the same tokens with the same parameters`,
    );
  }
  refuseOtherTasks(evaluations);
  const names = distinct(labels ?? evaluations.map(({ model }) => model.scheme));
  const best = bestOf(evaluations);
  const against = (index: number, other: number) =>
    differenceOf(evaluations[index]!, evaluations[other]!, names[other]!);
  const rows = evaluations.map((evaluation, index): Row => {
    const { scores, model, tasks, windowMeans, windowKl, windowTop1, llamaCpp } = evaluation;
    const before = index > 1 ? against(index, index - 1) : undefined;
    const behind = index > 0 && index !== best ? against(index, best) : undefined;
    const error = perplexityError(scores.perplexity, windowMeans);
    return {
      label: names[index]!,
      scheme: model.scheme,
      bitsPerWeight: model.bitsPerWeight,
      weightBytes: model.bytes,
      kvBytesPerToken: model.kvBytesPerToken,
      perplexity: scores.perplexity,
      ...error !== undefined && { perplexityError: error },
      ratio: scores.perplexity / first.scores.perplexity,
      ...scores.kl !== undefined && { kl: scores.kl },
      ...withError("klError", windowKl),
      ...scores.top1 !== undefined && { top1: scores.top1 },
      ...withError("top1Error", windowTop1),
      ...before && { before },
      ...behind && { best: behind },
      ...llamaCpp && { llamaCpp },
      layers: model.layers,
      kvErrors: model.kvErrors,
      ...tasks && { tasks },
    };
  });
  return { title, protocol: first.protocol, rows };
}

/** The best row behind the first, which others are held against: by divergence where all have one. */
function bestOf(evaluations: readonly Evaluation[]): number {
  const others = [...evaluations.keys()].slice(1);
  const diverge = others.every((at) => evaluations[at]!.scores.kl !== undefined);
  const measure = (at: number) => {
    const { kl, perplexity } = evaluations[at]!.scores;
    return diverge ? kl! : perplexity;
  };
  return others.reduce((best, at) => measure(at) < measure(best) ? at : best, 1);
}

/** How an evaluation differs from another one; undefined where it does not tell its windows. */
function differenceOf(
  one: Evaluation,
  other: Evaluation,
  label: string,
): RowDifference | undefined {
  const { length } = one.windowMeans;
  if (length === 0 || other.windowMeans.length !== length) return undefined;
  return {
    of: label,
    nll: pairedWindows(one.windowMeans, other.windowMeans),
    ...one.windowKl && other.windowKl && { kl: pairedWindows(one.windowKl, other.windowKl) },
  };
}

/**
 * Standard error of a perplexity from the mean negative log-likelihoods of windows, by the delta method:
 * their mean's error times the perplexity.
 */
export function perplexityError(
  perplexity: number,
  windowMeans: readonly number[],
): number | undefined {
  const error = errorOf(windowMeans);
  return error === undefined ? undefined : perplexity * error;
}

/** Standard error of a mean over windows; not known of a single one. */
export function errorOf(windows: readonly number[] | undefined): number | undefined {
  return windows && windows.length > 1 ? standardErrorOf(windows) : undefined;
}

function withError<Name extends string>(
  name: Name,
  windows: readonly number[] | undefined,
): { readonly [name in Name]?: number } {
  const error = errorOf(windows);
  return (error === undefined ? {} : { [name]: error }) as { readonly [name in Name]?: number };
}

/** Throws a `TypeError` where one task was asked different questions. */
function refuseOtherTasks(evaluations: readonly Evaluation[]): void {
  const digests = new Map<string, string>();
  for (const [index, { tasks }] of evaluations.entries()) {
    for (const { task, digest } of tasks?.tasks ?? []) {
      if ((digests.get(task) ?? digest) !== digest) {
        throw new TypeError(
          `Cannot compare report ${
            index + 1
          } with those before: task "${task}" was asked other questions, expected the same; evaluate all models with the same tasks`,
        );
      }
      digests.set(task, digest);
    }
  }
}

/** The same names with a number after each that came before. */
function distinct(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let number = 2; taken.has(free); number++) free = `${name}_${number}`;
    taken.add(free);
    return free;
  });
}
