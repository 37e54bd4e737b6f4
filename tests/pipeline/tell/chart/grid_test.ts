import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { gridPlot } from "../../../../pipeline/tell/chart/grid.ts";
import { assertWellFormed } from "../../../support/svg_check.ts";

const DARK = "#440154";
const LIGHT = "#fde725";

function panel(title: string, rows: Readonly<Record<string, readonly number[]>>) {
  const series = Object.entries(rows).map(([name, values]) => ({
    name,
    points: values.map((value, at) => [at, value] as const),
  }));
  return { title, across: "Layer", series };
}

/** Colors of the fields, in the order of panels, rows and columns. */
function fieldsOf(svg: string): string[] {
  return [...svg.matchAll(/<path d="M[^"]*Z" fill="((?:rgb|#)[^"]*)"/g)].map(([, color]) => color!);
}

Deno.test("a heat map has a field for each value, colors on one logarithmic scale for all panels", async () => {
  const svg = await gridPlot("map", {
    panels: [
      panel("first", { q_proj: [0.001, 0.1], down_proj: [0.01, 0.1] }),
      panel("second", { q_proj: [0.001, 0.001], down_proj: [0.001, 10] }),
    ],
  });
  assertWellFormed(svg);
  const fields = fieldsOf(svg);
  strictEqual(fields.length, 8, svg);
  const rgb = (hex: string) =>
    `rgb(${[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",")})`;
  deepStrictEqual([fields[0], fields[4], fields[7]], [rgb(DARK), rgb(DARK), rgb(LIGHT)]);
  // 0.1 is half of the way from 0.001 to 10 in powers of ten: viridis has #21918c there.
  deepStrictEqual([fields[1], fields[3]], [rgb("#21918c"), rgb("#21918c")]);
  notStrictEqual(fields[2], fields[0]);
  const texts = [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text);
  for (const text of ["first", "second", "q_proj", "down_proj", "Layer", "0", "1", "0.001", "10"]) {
    ok(texts.includes(text), `${texts}`);
  }
});

Deno.test("a title that is wider than its picture is cut, and says so", async () => {
  const title = "w4a8[alpha=0.1,beta=0.9], w4a8kv4[alpha=0.1,beta=0.9]";
  const titles = async (width: number) => {
    const svg = await gridPlot("map", { panels: [panel(title, { down_proj: [1, 2] })], width });
    return /<text[^>]*>(w4a8[^<]*)</.exec(svg)?.[1];
  };
  strictEqual(await titles(960), title);
  strictEqual(await titles(358), `${title.slice(0, 31)}…`);
});

Deno.test("a heat map of zeros, of one value and of 80 layers is drawn too", async () => {
  for (const values of [[0, 0], [0.5], [0, 0.001, 1], Array.from({ length: 80 }, (_, i) => i)]) {
    const svg = await gridPlot("map", { panels: [panel("a", { q: values })], width: 358 });
    assertWellFormed(svg);
    ok(!svg.includes("NaN"), `${values}`);
    strictEqual(fieldsOf(svg).length, values.length);
  }
});
