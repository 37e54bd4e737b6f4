import type { Headline, Passage, Plot, TableColumn } from "../../pipeline/description.ts";
import { count, millions, percent, significant } from "../../pipeline/words.ts";
import { shortScheme } from "../models/short_scheme.ts";
import { FEWEST_WINDOWS, type PairedWindows } from "../report/paired.ts";
import type { Comparison, Row, RowDifference } from "../report/rows.ts";
import { divergenceText, perplexityText, shareText } from "./errors_of_scores.ts";
import { overallScores, scoreWithError } from "./tasks.ts";

/** A column of the table, with how it tells a row; an empty text tells nothing. */
interface RowColumn extends TableColumn {
  cell(row: Row): string;
}

const number = true;
const METHOD: RowColumn = { heading: "Method", cell: ({ label }) => label };
const SCHEME: RowColumn = { heading: "Weights / activations / KV", cell: ({ scheme }) => scheme };
const FIGURES: readonly RowColumn[] = [
  { heading: "Bits per weight", number, cell: (row) => row.bitsPerWeight.toFixed(2) },
  { heading: "Weights, MB", number, cell: (row) => millions(row.weightBytes) },
  { heading: "KV, bytes per token", number, cell: (row) => String(row.kvBytesPerToken) },
  { heading: "Perplexity", number, cell: perplexityOf },
  { heading: "Ratio", number, cell: (row) => row.ratio.toFixed(4) },
  { heading: "KL, nats", number, cell: ({ kl, klError }) => divergenceText(kl, klError) },
  { heading: "Top-1 agrees", number, cell: ({ top1, top1Error }) => shareText(top1, top1Error) },
];

/** A comparison as a table; the schemes only where labels say something else, no empty columns. */
export function comparisonPassage({ title, protocol, rows }: Comparison): Passage {
  const { context, windows, id } = protocol;
  const columns = [
    METHOD,
    ...rows.some(({ scheme, label }) => scheme !== label) ? [SCHEME] : [],
    ...FIGURES.filter(({ cell }) => rows.some((row) => cell(row) !== "")),
    ...taskColumns(rows),
  ];
  return {
    title,
    lines: [
      `${windows} windows of ${context} tokens (${id}). Ratios are to the first row; KL divergence and agreement of the likeliest token are against each model's baseline.`,
    ],
    table: {
      columns: columns.map(({ heading, number = false }) => ({ heading, number })),
      rows: rows.map((row) => columns.map(({ cell }) => cell(row))),
    },
  };
}

function perplexityOf({ perplexity, perplexityError }: Row): string {
  return perplexityText(perplexity, perplexityError);
}

/** How rows differ from others, paired; undefined where no row tells its windows. */
export function differencesPassage({ protocol, rows }: Comparison): Passage | undefined {
  const told = rows.filter(({ before, best }) => before ?? best);
  if (told.length === 0) return undefined;
  const difference = (of: keyof RowDifference & ("nll" | "kl"), from: "before" | "best") => ({
    heading: `${of === "nll" ? "Perplexity" : "KL"} to ${
      from === "before" ? "the row before" : "the best"
    }`,
    number,
    cell: (row: Row) => differenceText(row[from]?.[of], { of, windows: protocol.windows }),
  });
  const columns: readonly RowColumn[] = [
    METHOD,
    difference("nll", "before"),
    difference("kl", "before"),
    difference("nll", "best"),
    difference("kl", "best"),
  ].filter(({ cell }) => told.some((row) => cell(row) !== ""));
  return {
    title: "Differences",
    lines: [
      `Window by window over ${protocol.windows} windows, with the standard error of the mean; ${
        protocol.windows < FEWEST_WINDOWS
          ? `fewer than ${FEWEST_WINDOWS} windows tell no models apart`
          : '"not distinguishable" where 95 % of means over windows drawn anew have 0 among them'
      }. The best is ${told.find(({ best }) => best)?.best?.of ?? "alone"}.`,
    ],
    table: {
      columns: columns.map(({ heading, number = false }) => ({ heading, number })),
      rows: told.map((row) => columns.map(({ cell }) => cell(row))),
    },
  };
}

/** A difference, such as `-3.30 % ± 0.20` of perplexity, `+0.0120 ± 0.0030` nats or points of a share. */
export function differenceText(
  paired: PairedWindows | undefined,
  { of, windows }: { readonly of: "nll" | "kl" | "top1"; readonly windows: number },
): string {
  if (!paired) return "";
  const { difference, error, distinguishable } = paired;
  const number = (value: number) => of === "kl" ? value.toFixed(4) : percent(value, 2);
  const size = number(of === "nll" ? Math.expm1(difference) : difference);
  const unit = { nll: " %", kl: "", top1: " points" }[of];
  const spread = error === undefined
    ? ""
    : ` ± ${number(of === "nll" ? Math.exp(difference) * error : error)}`;
  const words = distinguishable || windows < FEWEST_WINDOWS ? "" : ", not distinguishable";
  return `${difference > 0 ? "+" : ""}${size}${unit}${spread}${words}`;
}

/** Scores as llama.cpp's own program has them; undefined where no row has any. */
export function llamaCppPassage({ rows }: Comparison): Passage | undefined {
  const told = rows.flatMap(({ label, llamaCpp }) => llamaCpp ? [{ label, llamaCpp }] : []);
  const [first] = told;
  if (!first) return undefined;
  const headings = ["Perplexity", "Mean KLD", "99.0 % KLD", "Same top"];
  return {
    title: "By llama.cpp's protocol",
    lines: [
      `${first.llamaCpp.tokens} tokens (${first.llamaCpp.protocol}). Not to be compared with the table above.`,
    ],
    table: {
      columns: [{ heading: "Method", number: false }].concat(
        headings.map((heading) => ({ heading, number })),
      ),
      rows: told.map(({ label, llamaCpp }) => {
        const { perplexity, perplexityError, kl, klError, kl99, top1, top1Error } = llamaCpp;
        return [
          label,
          `${perplexity.toFixed(4)} ± ${perplexityError.toFixed(4)}`,
          `${kl.toFixed(6)} ± ${klError.toFixed(6)}`,
          kl99.toFixed(6),
          shareText(top1, top1Error),
        ];
      }),
    },
  };
}

/** Columns short enough for a terminal. */
const SHORT: readonly RowColumn[] = [
  { heading: "", cell: rowName },
  { heading: "perplexity", number, cell: perplexityOf },
  { heading: "KL", number, cell: ({ kl }) => kl === undefined ? "" : significant(kl, 2) },
  {
    heading: "top-1",
    number,
    cell: ({ top1 }) => top1 === undefined ? "" : `${percent(top1, 1)} %`,
  },
  { heading: "bits", number, cell: (row) => row.bitsPerWeight.toFixed(2) },
  { heading: "MB", number, cell: (row) => millions(row.weightBytes) },
  { heading: "KV B/token", number, cell: (row) => String(row.kvBytesPerToken) },
];

const HALF_PRECISION = "W16A16KV16";

/** A row's name in a few words: what it is called and its scheme, such as `QoQ W4A8KV4 g128`. */
function rowName({ label, scheme }: Row): string {
  const short = shortScheme(scheme);
  if (isUnnamed({ label, scheme })) return nameOf({ label, scheme });
  return short === HALF_PRECISION ? label : `${label} ${short}`;
}

/** What a row is called in a sentence. */
function nameOf({ label, scheme }: Pick<Row, "label" | "scheme">): string {
  if (!isUnnamed({ label, scheme })) return label;
  const short = shortScheme(scheme);
  return short === HALF_PRECISION ? "half precision" : short;
}

/** Whether nobody has given a row a name. */
function isUnnamed({ label, scheme }: Pick<Row, "label" | "scheme">): boolean {
  return label === scheme || label === shortScheme(scheme);
}

/** The gist of a comparison: a table of the main figures and what the best and the worst model keep. */
export function comparisonHeadline({ title, protocol, rows }: Comparison): Headline {
  const columns = [
    ...SHORT.filter(({ cell }) => rows.some((row) => cell(row) !== "")),
    ...taskColumns(rows),
  ];
  return {
    title,
    table: {
      columns: columns.map(({ heading, number = false }) => ({ heading, number })),
      rows: rows.map((row) => columns.map(({ cell }) => cell(row))),
    },
    notes: [...keptWords(rows), ...alikeWords(rows, protocol)],
    tellsScores: true,
  };
}

/** How often the best and the worst of quantized models choose the token that the first row chooses. */
function keptWords(rows: readonly Row[]): readonly string[] {
  const [first] = rows;
  const [best, ...others] = rows.filter(({ top1 }) => top1 !== undefined)
    .toSorted((a, b) => b.top1! - a.top1!);
  if (!first || !best) return [];
  const worst = others.at(-1);
  const lost = worst ? `; ${nameOf(worst)} loses ${percent(1 - worst.top1!, 1)} %` : "";
  return [
    `${nameOf(best)} keeps ${percent(best.top1!, 1)} % of the tokens that ${
      nameOf(first)
    } would choose, ${sizeWords(best, first)}${lost}`,
  ];
}

/** What a model's weights take beside those of another, which may also be less: rotating unties a head. */
function sizeWords({ weightBytes }: Row, other: Row): string {
  const [own, others] = [millions(weightBytes), millions(other.weightBytes)];
  if (own === others) return `and its weights take the same ${own} MB`;
  return weightBytes < other.weightBytes
    ? `and its weights take ${own} of ${others} MB`
    : `but its weights take ${own} MB, more than the ${others} MB of ${nameOf(other)}`;
}

/** Which rows the windows do not tell from the best one. */
function alikeWords(
  rows: readonly Row[],
  { windows }: Comparison["protocol"],
): readonly string[] {
  const differences = rows.flatMap(({ best }) => best ?? []);
  if (windows < FEWEST_WINDOWS) {
    return differences.length === 0 ? [] : [
      `${count(windows, "window")} do not tell models apart, expected ${FEWEST_WINDOWS} at least`,
    ];
  }
  const alike = rows.filter(({ best }) => best && !(best.kl ?? best.nll).distinguishable);
  const best = rows.find(({ label }) => label === alike[0]?.best?.of);
  if (!best) return [];
  return [`${alike.map(nameOf).join(", ")}: not distinguishable from ${nameOf(best)}`];
}

/** A column for every group of tasks, and for every task that is in none. */
function taskColumns(rows: readonly Row[]): readonly RowColumn[] {
  const scores = rows.map(({ tasks }) => new Map(tasks ? overallScores(tasks) : []));
  const names = [...new Set(scores.flatMap((each) => [...each.keys()]))];
  return names.map((heading) => ({
    heading,
    number,
    cell(row) {
      const score = scores[rows.indexOf(row)]!.get(heading);
      return score ? scoreWithError(score) : "";
    },
  }));
}

/** Quality against size, and what quantization cost in every layer where models record it. */
export function comparisonPlots(rows: readonly Row[]): readonly Plot[] {
  const scores = (across: string, size: (row: Row) => number) => ({
    across,
    // Small losses lie far apart on a logarithmic axis; the first row stands at its end.
    up: "Perplexity increase, %",
    series: rows.map((row) => ({
      name: row.label,
      points: [[size(row), 100 * (row.ratio - 1)] as const],
    })),
  });
  const errors = (up: string, points: (row: Row) => readonly (readonly [number, number])[]) => ({
    across: "Layer",
    up,
    series: rows.map((row) => ({ name: row.label, points: points(row) })),
  });
  return [
    {
      name: "perplexity",
      title: "Perplexity against size",
      form: "points",
      panels: [
        scores("Bits per weight", ({ bitsPerWeight }) => bitsPerWeight),
        scores("KV cache, bytes per token", ({ kvBytesPerToken }) => kvBytesPerToken),
      ],
    },
    {
      name: "layers",
      title: "What quantization cost in every layer",
      form: "lines",
      panels: [
        errors(
          "Linears' relative squared error",
          ({ layers }) => layers.map(({ layer, error }) => [layer, error]),
        ),
        errors(
          "KV cache's relative squared error",
          ({ kvErrors }) => kvErrors.map((error, layer) => [layer, error]),
        ),
      ],
    },
  ];
}

/** A row on one line, for a terminal or a log. */
export function rowWords(row: Row): string {
  const { kl, top1 } = row;
  const words = [
    `perplexity ${perplexityOf(row)} (${row.ratio.toFixed(4)} of the first)`,
    ...kl === undefined ? [] : [`KL ${significant(kl, 3)}`],
    ...top1 === undefined ? [] : [`top-1 ${percent(top1, 2)} %`],
    `${row.bitsPerWeight.toFixed(2)} bits per weight`,
    `${millions(row.weightBytes)} MB`,
    `${row.kvBytesPerToken} KV bytes per token`,
    ...row.tasks
      ? overallScores(row.tasks).map(([name, score]) => `${name} ${scoreWithError(score)}`)
      : [],
  ];
  return `${row.label}: ${words.join(", ")}`;
}
