import { SPACES, strip } from "../jinja/characters.ts";
import { chosen } from "./choice_scores.ts";
import { type ScoreForm, scoreForm, type Share } from "../report/estimates.ts";
import { shareKey } from "../report/task_result.ts";
import type { ItemAnswer, ItemResult } from "./item_results.ts";
import { classification } from "./metrics/classification.ts";
import { codeSimilarity } from "./metrics/code_similarity.ts";
import { qaF1 } from "./metrics/qa_f1.ts";
import { countScore, retrievalScore } from "./metrics/right_numbers.ts";
import { rougeL } from "./metrics/rouge_l.ts";
import { changedText, expression } from "./changed_text.ts";
import type { TaskFile } from "./task_file.ts";
import type { TaskItem } from "./task_items.ts";

/** One of the scores that a task has. */
export interface ScoreOutline {
  /** Its name among the shares of an item. */
  readonly key: string;
  readonly metric: string;
  readonly filter?: string;
  readonly form: ScoreForm;
  readonly higherIsBetter: boolean;
  /** Whether an item is right or wrong. */
  readonly binary: boolean;
}

/** Compares an answer with a right one; from 0 to 1. */
type Comparison = (answer: string, right: string, item: TaskItem, task: TaskFile) => number;

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  exact_match: (
    answer,
    right,
    _item,
    { exact_match: { ignore_case: ignore, substitute: changes } },
  ) => {
    const plain = (text: string) => {
      const changed = changedText(text, changes);
      return ignore ? changed.toLowerCase() : changed;
    };
    return Number(plain(answer) === plain(right));
  },
  qa_f1: qaF1,
  rouge_l: rougeL,
  classification: (answer, right, { classes }) => classification(answer, right, classes),
  retrieval: retrievalScore,
  count: countScore,
  code_similarity: codeSimilarity,
};

/** The scores that a task has, the one first that stands for it. */
export function scoresOf(
  { metrics, filters, output_type: kind }: TaskFile,
): readonly ScoreOutline[] {
  const ways = kind === "generate_until" ? Object.keys(filters) : [];
  return metrics.flatMap((metric): ScoreOutline[] => {
    const form = scoreForm(metric);
    const facts = {
      metric,
      form,
      higherIsBetter: form === "mean",
      binary: /^acc|^exact_match/.test(metric),
    };
    if (ways.length === 0) return [{ ...facts, key: shareKey({ metric }) }];
    return ways.map((filter) => ({ ...facts, key: shareKey({ metric, filter }), filter }));
  });
}

/** What an answer counts for each score of its task. */
export function scoreItem(task: TaskFile, item: TaskItem, answer: ItemAnswer): ItemResult {
  const { index, at, gold } = item;
  const told = { index, at, ...gold !== undefined && { gold } };
  switch (task.output_type) {
    case "multiple_choice": {
      const { logLikelihoods = [], greedy = [] } = answer;
      const takes = (metric: string) => chosen(metric, logLikelihoods, item.choices);
      const shares = sharesOf(
        task,
        ({ metric }) =>
          one(metric === "exact_match" ? Boolean(greedy[gold!]) : takes(metric) === gold),
      );
      const [first = "acc"] = task.metrics;
      const prediction = takes(first === "exact_match" ? "acc" : first);
      return { ...told, ...answer, prediction, shares };
    }
    case "loglikelihood": {
      const { logLikelihoods: [value = 0] = [], greedy: [right = false] = [] } = answer;
      const shares = sharesOf(
        task,
        ({ metric }) => metric === "acc" ? one(right) : { sum: value, weight: 1 },
      );
      return { ...told, ...answer, answers: item.answers, shares };
    }
    case "loglikelihood_rolling": {
      const { logLikelihoods: [value = 0] = [] } = answer;
      const shares = sharesOf(task, ({ metric }) => ({
        sum: value,
        weight: metric === "word_perplexity" ? wordsOf(item.counted) : bytesOf(item.counted),
      }));
      return { ...told, ...answer, shares };
    }
    case "generate_until": {
      const taken = takenFrom(answer.text ?? "", task);
      const shares = sharesOf(task, ({ metric, filter }) => {
        const text = taken(filter);
        const compare = COMPARISONS[metric]!;
        const best = item.answers.reduce(
          (most, right) => Math.max(most, compare(text, right, item, task)),
          0,
        );
        return { sum: best, weight: 1 };
      });
      const [filter] = Object.keys(task.filters);
      return { ...told, ...answer, prediction: taken(filter), answers: item.answers, shares };
    }
  }
}

/** What is taken for the answer, by each filter: `[invalid]` where nothing is, as in lm-eval. */
function takenFrom(text: string, { filters, generation }: TaskFile) {
  const kept = generation.first_line ? firstLine(text) : text;
  return (name: string | undefined): string => {
    const filter = name === undefined ? undefined : filters[name];
    if (!filter) return kept;
    const all = [...kept.matchAll(expression(filter.regex))];
    const found = filter.take === "last" ? all.at(-1) : all[0];
    const part = found && (found.length === 1 ? found[0] : found.slice(1).find(Boolean));
    return part === undefined ? "[invalid]" : strip(part, null, "both");
  };
}

function firstLine(text: string): string {
  return text.replace(/^\n+/, "").split("\n")[0]!;
}

function sharesOf(
  task: TaskFile,
  of: (score: ScoreOutline) => Share,
): Readonly<Record<string, Share>> {
  return Object.fromEntries(scoresOf(task).map((score) => [score.key, of(score)]));
}

function one(right: boolean): Share {
  return { sum: Number(right), weight: 1 };
}

/** Words as lm-eval counts them, empty ends included. */
function wordsOf(text: string): number {
  return text.split(SPACES).length;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
