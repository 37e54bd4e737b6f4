import type { Description, Figure, Picture, Section } from "../../pipeline/description.ts";
import { describeBenchmark } from "./benchmark.ts";
import { type Evaluation, readEvaluation } from "../report/evaluation.ts";
import type { Comparison } from "../report/rows.ts";
import { columnsOf, protocolWords } from "../report/table.ts";
import { sizeFigures } from "./model_figures.ts";

/** Describes the report of an evaluation, of a comparison or of a benchmark. */
export async function describeReport(directory: string): Promise<Description | undefined> {
  const report = JSON.parse(await Deno.readTextFile(`${directory}/report.json`));
  if (Array.isArray(report.rows)) return await describeComparison(directory, report);
  if (report.benchmark !== undefined) return describeBenchmark(report.benchmark);
  if (report.scores !== undefined) return describeEvaluation(await readEvaluation(directory));
  return undefined;
}

function describeEvaluation(evaluation: Evaluation): Description {
  const { scores, protocol, model, baseline, windowMeans, hidden } = evaluation;
  const figures = [...qualityFigures(scores), ...sizeFigures(model)];
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
  { perplexity, perplexity_ratio, kl, top1 }: Evaluation["scores"],
): Figure[] {
  const percent = top1 === undefined ? undefined : 100 * top1;
  const figure = (
    name: string,
    value: number | undefined,
    text: string | undefined,
  ) => value === undefined ? [] : [{ name, value, text: text ?? "" }];
  const axis = "quality";
  return [
    ...figure("Perplexity", perplexity, perplexity.toPrecision(5)).map((
      one,
    ) => ({ ...one, axis } as const)),
    ...figure("Ratio", perplexity_ratio, perplexity_ratio?.toFixed(4)),
    ...figure("KL, nats", kl, kl?.toPrecision(3)).map((one) => ({ ...one, axis } as const)),
    ...figure("Top-1 agrees, %", percent, percent?.toFixed(2)),
  ];
}

async function describeComparison(directory: string, comparison: Comparison): Promise<Description> {
  const { title, protocol, rows } = comparison;
  const columns = columnsOf(rows);
  const pictures = [
    ...await picture(`${directory}/perplexity.svg`, "Perplexity against size"),
    ...await picture(`${directory}/layers.svg`, "What quantization cost in every layer"),
  ];
  const section: Section = {
    title,
    lines: [protocolWords(protocol)],
    table: {
      columns: columns.map(({ heading, number }) => ({ heading, number })),
      rows: rows.map((row) => columns.map(({ cell }) => cell(row))),
    },
    pictures,
  };
  return {
    title: `comparison of ${rows.length} evaluations`,
    sections: [section],
    warnings: [],
    figures: [],
  };
}

async function picture(path: string, title: string): Promise<Picture[]> {
  const svg = await Deno.readTextFile(path).catch(() => undefined);
  return svg === undefined ? [] : [{ title, svg }];
}
