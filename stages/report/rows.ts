import type { ModelFacts } from "../models/model_facts.ts";
import { type Evaluation, type Protocol, protocolDifference } from "./evaluation.ts";
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
  /** KL divergence from the baseline in nats a token, where there was one. */
  readonly kl?: number;
  /** Share of tokens whose likeliest token is the baseline's, where there was one. */
  readonly top1?: number;
  /** What quantizing the linears of each layer cost, as the model records it. */
  readonly layers: ModelFacts["layers"];
  /** What the KV cache of each layer costs, as the model records it. */
  readonly kvErrors: ModelFacts["kvErrors"];
  /** What tasks found, where there were any. */
  readonly tasks?: TaskResults;
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
  const rows = evaluations.map(({ scores, model, tasks, windowMeans }, index): Row => ({
    label: names[index]!,
    scheme: model.scheme,
    bitsPerWeight: model.bitsPerWeight,
    weightBytes: model.bytes,
    kvBytesPerToken: model.kvBytesPerToken,
    perplexity: scores.perplexity,
    ...errorOf(scores.perplexity, windowMeans),
    ratio: scores.perplexity / first.scores.perplexity,
    ...scores.kl !== undefined && { kl: scores.kl },
    ...scores.top1 !== undefined && { top1: scores.top1 },
    layers: model.layers,
    kvErrors: model.kvErrors,
    ...tasks && { tasks },
  }));
  return { title, protocol: first.protocol, rows };
}

/**
 * Standard error of a perplexity, by the delta method: that of the mean over windows of the mean
 * negative log-likelihood, times the perplexity.
 */
function errorOf(
  perplexity: number,
  windowMeans: readonly number[],
): { readonly perplexityError?: number } {
  const { length } = windowMeans;
  if (length < 2) return {};
  const mean = windowMeans.reduce((sum, one) => sum + one, 0) / length;
  const squares = windowMeans.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  return { perplexityError: perplexity * Math.sqrt(squares / (length - 1) / length) };
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
