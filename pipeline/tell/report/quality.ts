import { scatterPlot } from "../chart/scatter.ts";
import type { Figure } from "../../description.ts";
import { madeOn, type PagePart, type StepReport } from "./gather.ts";
import { tableHtml } from "../html.ts";
import { escapeMarkup, shortNumber } from "../../words.ts";
import { plotHtml } from "./plot.ts";

/** A step whose artifact is compared with others. */
interface Variant {
  readonly name: string;
  readonly words: string;
  /** What it was scored on. */
  readonly machine: string | undefined;
  readonly figures: readonly Figure[];
}

/** Scores and sizes of everything that was scored, as a table and plots; undefined if nothing was. */
export async function qualityPart(steps: readonly StepReport[]): Promise<PagePart | undefined> {
  const variants = steps.flatMap(variantOf);
  if (variants.length === 0) return undefined;
  // A variant with more figures tells better in what order they stand.
  const fullest = variants.toSorted((a, b) => b.figures.length - a.figures.length);
  const names = [...new Set(fullest.flatMap(({ figures }) => figures.map(({ name }) => name)))];
  const described = variants.some(({ words }) => words !== "");
  const [machine, ...others] = new Set(variants.map(({ machine }) => machine));
  const differ = others.length > 0;
  const table = {
    columns: [
      { heading: "Step" },
      ...described ? [{ heading: "Variant" }] : [],
      ...names.map((heading) => ({ heading, number: true })),
      ...differ ? [{ heading: "Made on" }] : [],
    ],
    rows: variants.map(({ name, words, machine, figures }) => [
      name,
      ...described ? [words] : [],
      ...names.map((one) => figures.find(({ name }) => name === one)?.text ?? ""),
      ...differ ? [machine ?? ""] : [],
    ]),
  };
  const qualities = namesOf(variants, "quality");
  const sizes = namesOf(variants, "size");
  const plots: string[] = [];
  for (const [index, quality] of qualities.entries()) {
    const points = variants.flatMap(({ name, figures }, color) => {
      const [value = NaN, ...across] = [quality, ...sizes].map((one) =>
        figures.find(({ name }) => name === one)?.value ?? NaN
      );
      return [value, ...across].every(Number.isFinite) ? [{ name, value, across, color }] : [];
    });
    if (points.length < 2 || sizes.length === 0) continue;
    const title = `${quality} against ${sizes.join(" and ")}`;
    plots.push(
      await plotHtml(`quality-${index}`, {
        title,
        draw: (name, width) =>
          scatterPlot(name, {
            panels: sizes.map((size, at) => ({
              across: size,
              up: quality,
              series: points.map(({ name, value, across }) => ({
                name,
                points: [[across[at] ?? NaN, value]],
              })),
            })),
            colors: points.map(({ color }) => color),
            width,
          }),
      }),
    );
  }
  const made = differ || machine === undefined ? [] : [
    `<p class="quiet">All made on ${escapeMarkup(machine)}.</p>`,
  ];
  const html = [tableHtml(table, { label: "Quality and size" }), ...made, ...plots].join("\n");
  return { id: "quality", title: "Quality and size", html };
}

function variantOf(step: StepReport): Variant[] {
  const { name, description, stored } = step;
  const machine = madeOn(step);
  const scores = Object.entries(stored?.artifact.scores ?? {});
  const figures = description?.figures ?? [];
  if (figures.some(({ axis }) => axis === "quality")) {
    return [{ name, words: description?.variant ?? "", machine, figures }];
  }
  if (scores.length === 0) return [];
  const plain = scores.map(([name, value]) => ({
    name,
    value,
    text: shortNumber(value, 6),
  }));
  return [{ name, words: "", machine, figures: plain }];
}

function namesOf(variants: readonly Variant[], axis: Figure["axis"]): readonly string[] {
  const names = variants.flatMap(({ figures }) =>
    figures.filter((figure) => figure.axis === axis).map(({ name }) => name)
  );
  return [...new Set(names)];
}
