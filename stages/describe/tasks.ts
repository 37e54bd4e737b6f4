import {
  headScore,
  type PairedScore,
  scoreName,
  type TaskResult,
  type TaskScore,
} from "../report/task_result.ts";

/** Metrics that are shares of something, told in percent. */
const SHARES = /^(acc|exact_match|qa_f1|rouge_l|classification|retrieval|count|code_similarity)/;

/** A score as text: shares in percent. */
export function scoreText({ metric, value }: Pick<TaskScore, "metric" | "value">): string {
  return SHARES.test(metric) ? `${(100 * value).toFixed(2)} %` : value.toPrecision(5);
}

/** A difference of scores, or an error of one, in the same units. */
export function differenceText({ metric }: Pick<TaskScore, "metric">, value: number): string {
  return SHARES.test(metric) ? (100 * value).toFixed(2) : value.toPrecision(3);
}

/** A score with its error, such as `43.20 % ± 1.57`. */
export function scoreWithError(score: TaskScore): string {
  const { error } = score;
  return error === undefined
    ? scoreText(score)
    : `${scoreText(score)} ± ${differenceText(score, error)}`;
}

/** How a score differs from the baseline's, such as `-1.20 ± 0.80`. */
export function pairedText(score: TaskScore): string {
  const { paired } = score;
  if (!paired) return "";
  const { difference, error } = paired;
  const sign = difference > 0 ? "+" : "";
  const text = `${sign}${differenceText(score, difference)}`;
  return error === undefined ? text : `${text} ± ${differenceText(score, error)}`;
}

/** Items that went wrong and right, such as `12 lost, 5 won`. */
export function flipsText(paired: PairedScore | undefined): string {
  if (paired?.lost === undefined) return "";
  return `${paired.lost} lost, ${paired.won} won`;
}

/** A task on one line, for a terminal or a log. */
export function taskWords(result: TaskResult): string {
  const score = headScore(result);
  const against = score.paired ? `, ${pairedText(score)} against the baseline` : "";
  const flips = flipsText(score.paired);
  return `${result.task}: ${scoreName(score)} ${
    scoreWithError(score)
  } of ${result.items} items${against}${flips === "" ? "" : ` (${flips})`}`;
}
