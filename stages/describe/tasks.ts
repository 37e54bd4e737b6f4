import type { Passage } from "../../pipeline/description.ts";
import { count } from "../../pipeline/words.ts";
import { FEWEST_WINDOWS, type PairedWindows } from "../report/paired.ts";
import {
  headScore,
  type PairedScore,
  scoreName,
  type TaskResult,
  type TaskResults,
  type TaskScore,
} from "../report/task_result.ts";

/** Metrics that are shares of something, told in percent. */
const SHARES = /^(acc|exact_match|qa_f1|rouge_l|classification|retrieval|count|code_similarity)/;

/** A score as text: shares in percent. */
function scoreText({ metric, value }: Pick<TaskScore, "metric" | "value">): string {
  return SHARES.test(metric) ? `${(100 * value).toFixed(2)} %` : value.toPrecision(5);
}

/** A difference of scores, or an error of one, in the same units. */
function differenceText({ metric }: Pick<TaskScore, "metric">, value: number): string {
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
function pairedText(score: TaskScore): string {
  const { paired } = score;
  if (!paired) return "";
  const { difference, error } = paired;
  const sign = difference > 0 ? "+" : "";
  const text = `${sign}${differenceText(score, difference)}`;
  return error === undefined ? text : `${text} ± ${differenceText(score, error)}`;
}

/**
 * How a score differs from another model's on the same items, such as `-1.20 points ± 0.80, not
 * distinguishable`.
 */
export function itemsDifferenceText(
  score: Pick<TaskScore, "metric">,
  { difference, error, distinguishable }: PairedWindows,
  items: number,
): string {
  const sign = difference > 0 ? "+" : "";
  const unit = SHARES.test(score.metric) ? " points" : "";
  const spread = error === undefined ? "" : ` ± ${differenceText(score, error)}`;
  const words = items < FEWEST_WINDOWS
    ? `, ${count(items, "item")} tell no models apart`
    : distinguishable
    ? ""
    : ", not distinguishable";
  return `${sign}${differenceText(score, difference)}${unit}${spread}${words}`;
}

/** Items that went wrong and right, such as `12 lost, 5 won`. */
function flipsText(paired: PairedScore | undefined): string {
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

/** A score by the name that stands above or before it: of a group, or of a task that is in none. */
export function overallScores(
  { tasks, groups }: TaskResults,
): readonly (readonly [name: string, score: TaskScore])[] {
  const alone = tasks.filter((task) => !groups.some(({ group }) => task.groups.includes(group)));
  return [
    ...alone.map((task) => [task.task, headScore(task)] as const),
    ...groups.map(({ group, score }) => [group, score] as const),
  ];
}

/** Every task of several models in a table, with how each differs from its baseline. */
export function tasksPassage(
  models: readonly { readonly label: string; readonly tasks?: TaskResults }[],
): Passage | undefined {
  const names = [
    ...new Set(models.flatMap(({ tasks }) => tasks?.tasks.map(({ task }) => task) ?? [])),
  ];
  if (names.length === 0) return undefined;
  const number = true;
  const rows = names.flatMap((name) =>
    models.flatMap(({ label, tasks }) => {
      const found = tasks?.tasks.find(({ task }) => task === name);
      return found?.scores.map((score, at) => [
        at === 0 ? name : "",
        label,
        scoreName(score),
        scoreWithError(score),
        pairedText(score),
        flipsText(score.paired),
        String(found.items),
      ]) ?? [];
    })
  );
  return {
    title: "Tasks",
    lines: [
      "Scores with their standard errors; differences are to each model's baseline, item by item: an item is lost that the baseline has right and the model wrong.",
    ],
    table: {
      columns: [
        { heading: "Task" },
        { heading: "Model" },
        { heading: "Score" },
        { heading: "Value", number },
        { heading: "Difference", number },
        { heading: "Flips", number },
        { heading: "Items", number },
      ],
      rows,
    },
  };
}

/** Items that went wrong or right, where there are some. */
export function flippedPassage(task: string, items: readonly FlippedItem[]): Passage | undefined {
  if (items.length === 0) return undefined;
  const shown = items.slice(0, MOST_FLIPPED);
  const text = (value: number | string | undefined) => String(value ?? "").slice(0, 80);
  return {
    title: `Flipped items of ${task}`,
    lines: shown.length < items.length ? [`The first ${shown.length} of ${items.length}.`] : [],
    table: {
      columns: ["Item", "Flip", "Right", "Baseline", "Model", "Question ends"].map((heading) => ({
        heading,
      })),
      rows: shown.map(({ at, flip, gold, answers, before, prediction, asked }) => [
        at,
        flip,
        text(gold ?? answers?.[0]),
        text(before),
        text(prediction),
        (asked ?? "").slice(-120),
      ]),
    },
  };
}

/** Rows of items that are shown of a task. */
const MOST_FLIPPED = 20;

/** An item that the baseline and the model did not both have right or wrong. */
export interface FlippedItem {
  readonly at: string;
  readonly flip: "lost" | "won";
  readonly gold?: number;
  readonly answers?: readonly string[];
  readonly before?: number | string;
  readonly prediction?: number | string;
  readonly asked?: string;
}
