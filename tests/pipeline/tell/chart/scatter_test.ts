import { deepStrictEqual, ok } from "node:assert/strict";
import { scatterPlot } from "../../../../pipeline/tell/chart/scatter.ts";
import { percent } from "../../../../pipeline/words.ts";
import { assertWellFormed } from "../../../support/svg_check.ts";

const COLORS = ["#0072b2", "#d55e00", "#009e73"];

async function plotOf(values: readonly (readonly [name: string, value: number])[]) {
  const series = values.map(([name, value]) => ({ name, points: [[4, value] as const] }));
  const svg = await scatterPlot("plot", { panels: [{ across: "Bits", up: "Increase", series }] });
  assertWellFormed(svg);
  return svg;
}

function textsOf(svg: string): string[] {
  return [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text!);
}

Deno.test("a label that had to leave its point has a sign of the point's color beside it", async () => {
  const signs = (svg: string) =>
    [...svg.matchAll(/<path d="M-?[\d.]+ -?[\d.]+l8 0l0 8l-8 0Z"[^>]*fill="(#[0-9a-f]{6})"/g)]
      .map(([, color]) => color!);
  const apart = await plotOf([["one", 1], ["two", 2], ["three", 3]]);
  deepStrictEqual(signs(apart), []);
  // Of two that lie on each other nobody sees which is which, also where one label could stay.
  const close = await plotOf([["one", 1], ["two", 1.001], ["three", 3]]);
  deepStrictEqual(signs(close).sort(), COLORS.slice(0, 2).sort());
  // What would be a style of the library's stands there as a text.
  ok(textsOf(await plotOf([["a {sign|}", 1], ["b", 1.001]])).includes("a (sign|)"));
});

Deno.test("values about 0 stand at the lower end of a logarithmic axis, which says so", async () => {
  const increases = [["poor", 35], ["good", 0.08], ["none", -0.002]] as const;
  const texts = textsOf(await plotOf(increases));
  for (const tick of ["≤ 0.01", "0.1", "1", "10", "100"]) ok(texts.includes(tick), `${texts}`);
  // One that is well below 0 has a place of its own.
  const below = textsOf(await plotOf([["poor", 35], ["good", 0.08], ["better", -4]]));
  ok(below.includes("0") && !below.some((text) => text.startsWith("≤")), `${below}`);
  const above = textsOf(await plotOf([["poor", 35], ["good", 0.08]]));
  ok(above.includes("0.01") && !above.some((text) => text.startsWith("≤")), `${above}`);
  deepStrictEqual([percent(-0.00002, 2), percent(-0.0002, 2)], ["0.00", "-0.02"]);
});

Deno.test("labels of twelve methods keep off each other and within the panel, also on a phone", async () => {
  const methods = [
    ["half precision", 16, 1.5122],
    ["RTN", 4.1, 2.0435],
    ["RTN groups", 4.18, 1.883],
    ["QoQ groups", 4.18, 1.5141],
    ["QoQ", 4.1, 1.5134],
    ["QoQ plus", 4.18, 1.5128],
    ["SmoothQuant dynamic", 8.05, 1.517],
    ["SmoothQuant static", 8.05, 1.5176],
    ["GPTQ", 4.25, 1.5403],
    ["AWQ", 4.25, 1.5142],
    ["OOO", 8.05, 1.5122],
    ["Atom", 4.4, 1.62],
  ] as const;
  const series = methods.map(([name, x, y]) => ({ name, points: [[x, y] as const] }));
  const panels = [{ across: "Bits per weight", up: "Perplexity", series }];
  for (const width of [960, 358]) {
    const svg = await scatterPlot("plot", { panels, width });
    const boxes = methods.map(([name]) => {
      const shown = width > 400 || name.length < 15 ? name : `${name.slice(0, 13)}…`;
      const found = [...svg.matchAll(/<text ([^>]*)translate\(([\d.]+) ([\d.]+)\)"[^>]*>([^<]*)</g)]
        .find(([, , , , text]) => text === shown);
      ok(found, `${shown} at ${width}`);
      const [, look = "", x = "", y = ""] = found;
      // Letters of 12 pixels are some 6 wide.
      const long = 6 * shown.length;
      const left = look.includes('text-anchor="end"') ? Number(x) - long : Number(x);
      return { shown, left, right: left + long, y: Number(y) };
    });
    for (const [at, box] of boxes.entries()) {
      ok(box.left >= 84 - 1 && box.right <= width, `${box.shown} at ${width}`);
      for (const other of boxes.slice(at + 1)) {
        const apart = box.right <= other.left || other.right <= box.left ||
          Math.abs(box.y - other.y) >= 13;
        ok(apart, `${box.shown} and ${other.shown} at ${width}`);
      }
    }
  }
});
