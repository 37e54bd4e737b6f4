import type {
  Description,
  Figure,
  FigureParts,
  Picture,
  Section,
} from "../../pipeline/description.ts";
import { percent } from "../../pipeline/words.ts";
import { describeBenchmark } from "./benchmark.ts";
import { continuationsPassage } from "./continuations.ts";
import {
  comparisonHeadline,
  comparisonPassage,
  comparisonPlots,
  differenceText,
} from "./comparison.ts";
import { divergenceText, perplexityText, shareText } from "./errors_of_scores.ts";
import { type Evaluation, readEvaluation } from "../report/evaluation.ts";
import { pairedWindows } from "../report/paired.ts";
import { type Comparison, errorOf, perplexityError } from "../report/rows.ts";
import { itemParts } from "../report/item_parts.ts";
import { itemsFile, type TaskResults } from "../report/task_result.ts";
import { sizeFigures } from "./model_figures.ts";
import {
  type FlippedItem,
  flippedPassage,
  itemsDifferenceText,
  overallScores,
  scoreWithError,
  tasksPassage,
} from "./tasks.ts";

/** Describes the report of an evaluation, of a comparison, of a benchmark or of continuations. */
export async function describeReport(directory: string): Promise<Description | undefined> {
  const report = JSON.parse(await Deno.readTextFile(`${directory}/report.json`));
  if (Array.isArray(report.rows)) return await describeComparison(directory, report);
  if (report.benchmark !== undefined) return describeBenchmark(report.benchmark);
  if (report.continuations !== undefined) {
    const passage = continuationsPassage(report.continuations);
    return { title: passage.title, sections: [passage], warnings: [], headline: passage };
  }
  if (report.scores !== undefined) {
    const evaluation = await readEvaluation(directory);
    return describeEvaluation(directory, evaluation, await taskSections(directory, evaluation));
  }
  return undefined;
}

/** What tasks found, and the items that flipped. */
async function taskSections(
  directory: string,
  { model, tasks }: Evaluation,
): Promise<readonly Section[]> {
  const table = tasks && tasksPassage([{ label: model.scheme, tasks }]);
  if (!tasks || !table) return [];
  const flips: (Section | undefined)[] = [];
  for (const { task, scores: [score] } of tasks.tasks) {
    const { lost = 0, won = 0 } = score?.paired ?? {};
    if (lost + won === 0) continue;
    const text = await Deno.readTextFile(`${directory}/${itemsFile(task)}`).catch(() => "");
    const items: FlippedItem[] = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    flips.push(flippedPassage(task, items.filter(({ flip }) => flip !== undefined)));
  }
  return [table, ...flips].filter((passage) => passage !== undefined);
}

function describeEvaluation(
  directory: string,
  evaluation: Evaluation,
  tasks: readonly Section[],
): Description {
  const { scores, protocol, model, baseline, windowMeans, hidden } = evaluation;
  const figures: readonly Figure[] = [
    ...qualityFigures(evaluation),
    ...evaluation.tasks ? taskFigures(directory, evaluation.tasks) : [],
    ...sizeFigures(model),
  ];
  return {
    title: `perplexity ${scores.perplexity.toPrecision(5)} of ${model.scheme}`,
    sections: [
      {
        title: "Scores",
        facts: [
          ["scheme", model.scheme],
          ...figures.map(({ name, text }) => [name, text] as const),
        ],
      },
      {
        title: "Protocol",
        facts: [
          ["windows", `${protocol.windows} of ${protocol.context} tokens (${protocol.id})`],
          ["tokens", protocol.tokens],
          ["model", model.digest],
          ["baseline", baseline ?? "none"],
          [
            "inputs of the head",
            hidden ? "kept, so that others can be compared with it" : "not kept",
          ],
        ],
      },
      ...tasks,
      {
        title: "Windows",
        charts: [{
          title: "Perplexity of each window",
          across: "Window",
          up: "Perplexity",
          series: [{
            name: "",
            points: windowMeans.map((mean, at) => [at, Math.exp(mean)] as const),
          }],
        }],
      },
    ],
    warnings: [],
    variant: model.scheme,
    figures,
  };
}

function qualityFigures(
  { scores, windowMeans, windowKl, windowTop1, protocol, baseline }: Evaluation,
): Figure[] {
  const windows = `${protocol.id} ${protocol.context} ${protocol.tokens}`;
  const parts = (
    values: readonly number[] | undefined,
    of: "nll" | "kl" | "top1",
  ): { readonly parts?: FigureParts } => {
    if (!values) return {};
    const told = { of, windows: values.length };
    return {
      parts: {
        of: of === "nll" ? windows : `${windows} ${baseline}`,
        values: () => Promise.resolve(values),
        difference: (before) =>
          Promise.resolve(differenceText(pairedWindows(values, before), told)),
      },
    };
  };
  const { perplexity, perplexity_ratio: ratio, kl, top1 } = scores;
  const axis = "quality";
  return [
    {
      name: "Perplexity",
      value: perplexity,
      text: perplexityText(perplexity, perplexityError(perplexity, windowMeans)),
      axis,
      ...parts(windowMeans, "nll"),
    },
    // Drawn beside it, for small losses lie far apart where they span a power of ten.
    ...ratio === undefined ? [] : [
      {
        name: "Perplexity increase, %",
        value: 100 * (ratio - 1),
        text: percent(ratio - 1, 2),
        axis,
      } as const,
    ],
    ...kl === undefined ? [] : [
      {
        name: "KL, nats",
        value: kl,
        text: divergenceText(kl, errorOf(windowKl)),
        axis,
        ...parts(windowKl, "kl"),
      } as const,
    ],
    ...top1 === undefined ? [] : [
      {
        name: "Top-1 agrees",
        value: 100 * top1,
        text: shareText(top1, errorOf(windowTop1)),
        ...parts(windowTop1, "top1"),
      },
    ],
  ];
}

/** What tasks and groups scored, to be held item by item against others that were asked the same. */
function taskFigures(directory: string, results: TaskResults): Figure[] {
  return overallScores(results).map(([name, score]) => {
    const { of, values } = itemParts(directory, results, name);
    return {
      name,
      value: score.value,
      text: scoreWithError(score),
      parts: {
        of,
        values,
        async difference(before) {
          const own = await values();
          return own && itemsDifferenceText(score, pairedWindows(own, before), own.length);
        },
      },
    };
  });
}

async function describeComparison(directory: string, comparison: Comparison): Promise<Description> {
  const { rows } = comparison;
  const pictures: Picture[] = [];
  for (const { name, title } of comparisonPlots(rows)) {
    const svg = await Deno.readTextFile(`${directory}/${name}.svg`).catch(() => undefined);
    if (svg !== undefined) pictures.push({ title, svg });
  }
  return {
    title: `comparison of ${rows.length} evaluations`,
    headline: comparisonHeadline(comparison),
    sections: [
      { ...comparisonPassage(comparison), pictures },
      tasksPassage(rows),
    ].filter((section) => section !== undefined),
    warnings: [],
  };
}
