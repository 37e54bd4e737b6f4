import type { GroupResult, TaskResult, TaskScore } from "../report/task_result.ts";
import { headScore } from "../report/task_result.ts";
import {
  estimateScore,
  pairedDifference,
  type ScoreEstimate,
  standardError,
} from "../report/estimates.ts";
import type { ItemResult } from "./item_results.ts";
import type { PreparedTask } from "./prepare_tasks.ts";
import { type ScoreOutline, scoresOf } from "./score_items.ts";

/** What the items of a task say together, and against those of the baseline. */
export function summarize(
  { task, items, digest }: PreparedTask,
  results: readonly ItemResult[],
  baseline: readonly ItemResult[] | undefined,
): TaskResult {
  const { name, file, shots, groups } = task;
  return {
    task: name,
    about: file.about,
    groups: groups.map(({ name }) => name),
    items: items.length,
    shots,
    digest,
    scores: scoresOf(file).map((score) => scoreOf(score, results, baseline)),
  };
}

function scoreOf(
  score: ScoreOutline,
  results: readonly ItemResult[],
  baseline: readonly ItemResult[] | undefined,
): TaskScore {
  const { key, metric, filter, form, higherIsBetter, binary } = score;
  const of = (items: readonly ItemResult[]): ScoreEstimate =>
    estimateScore(items.map(({ shares }) => shares[key]!), form);
  const own = of(results);
  const error = standardError(own.influences);
  const right = ({ shares }: ItemResult) => shares[key]!.sum === 1;
  const flips = baseline && binary && {
    lost: results.filter((item, at) => !right(item) && right(baseline[at]!)).length,
    won: results.filter((item, at) => right(item) && !right(baseline[at]!)).length,
  };
  return {
    metric,
    ...filter !== undefined && { filter },
    value: own.value,
    ...error !== undefined && { error },
    higherIsBetter,
    ...baseline && { paired: { ...pairedDifference(own, of(baseline)), ...flips } },
  };
}

/** Characters of a question that are told of an item that flipped. */
const ASKED = 200;

/** The same items, told of those that the baseline had right or wrong where the model has not. */
export function withFlips(
  { task, items }: PreparedTask,
  results: readonly ItemResult[],
  baseline: readonly ItemResult[] | undefined,
): readonly ItemResult[] {
  const [{ key, binary }] = scoresOf(task.file) as [ScoreOutline];
  if (!baseline || !binary) return results;
  return results.map((result, at) => {
    const other = baseline[at]!;
    const [now, then] = [result, other].map(({ shares }) => shares[key]!.sum === 1);
    if (now === then) return result;
    const { prediction } = other;
    return {
      ...result,
      flip: then ? "lost" : "won",
      ...prediction !== undefined && { before: prediction },
      asked: items[at]!.pairs[0]!.context.slice(-ASKED).toWellFormed(),
    };
  });
}

/**
 * The means of groups: over all items, with lm-eval's pooled error (`pooled_sample_stderr`), or over
 * tasks.
 */
export function groupResults(
  prepared: readonly PreparedTask[],
  results: readonly TaskResult[],
): readonly GroupResult[] {
  const groups = new Map(
    prepared.flatMap(({ task }) => task.groups).map((group) => [group.name, group]),
  );
  return [...groups.values()].map(({ name, mean }): GroupResult => {
    const members = results.filter(({ groups }) => groups.includes(name));
    const weights = members.map(({ items }) => mean === "items" ? items : 1);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const scores = members.map(headScore);
    const mix = (of: (score: TaskScore) => number) =>
      scores.reduce((sum, score, at) => sum + weights[at]! * of(score), 0) / total;
    const error = (of: (score: TaskScore) => number | undefined) => {
      const errors = scores.map(of);
      if (errors.some((each) => each === undefined)) return undefined;
      return mean === "items"
        ? pooled(errors as number[], weights)
        : Math.hypot(...errors as number[]) / total;
    };
    const first = scores[0]!;
    const own = error(({ error }) => error);
    const paired = scores.every(({ paired }) => paired);
    const difference = paired ? error(({ paired }) => paired!.error) : undefined;
    const flips = paired && scores.every(({ paired }) => paired!.lost !== undefined);
    const count = (of: "lost" | "won") => scores.reduce((sum, { paired }) => sum + paired![of]!, 0);
    return {
      group: name,
      mean,
      tasks: members.length,
      score: {
        metric: first.metric,
        ...first.filter !== undefined && { filter: first.filter },
        value: mix(({ value }) => value),
        ...own !== undefined && { error: own },
        higherIsBetter: first.higherIsBetter,
        ...paired && {
          paired: {
            difference: mix(({ paired }) => paired!.difference),
            ...difference !== undefined && { error: difference },
            ...flips && { lost: count("lost"), won: count("won") },
          },
        },
      },
    };
  });
}

/** The error of a mean over all items of several samples, by the pooled variance of an item. */
function pooled(errors: readonly number[], sizes: readonly number[]): number {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const variance = errors.reduce(
    (sum, error, at) => sum + (sizes[at]! - 1) * error ** 2 * sizes[at]!,
    0,
  ) / (total - sizes.length);
  return Math.sqrt(variance / total);
}
