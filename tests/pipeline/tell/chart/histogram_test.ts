import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { histogramPlot } from "../../../../pipeline/tell/chart/histogram.ts";
import { assertWellFormed } from "../../../support/svg_check.ts";

const [BEFORE, AFTER] = ["#0072b2", "#d55e00"];

/** Heights of the bars of a color, from the left. */
function barsOf(svg: string, color: string): number[] {
  return [...svg.matchAll(new RegExp(`<path d="([^"]*)"[^>]*fill="${color}"`, "g"))].flatMap(
    ([, path]) => {
      // A bar is a box: M x y l w 0 l 0 h l -w 0 Z, or in places.
      const [, height] = /l0 (-?[\d.]+)/.exec(path!) ?? [];
      return height === undefined ? [] : [Math.abs(Number(height))];
    },
  );
}

Deno.test("a histogram has a bar for each count, also of one, higher by equal steps for powers of ten", async () => {
  const series = [
    { name: "before", points: [[-0.5, 100], [0, 10], [0.5, 0], [1, 1]] as const },
    { name: "after", points: [[-0.5, 100], [0, 0], [0.5, 1], [1, 0]] as const },
  ];
  const panel = { title: "Channels", across: "Step", up: "Number", series };
  const svg = await histogramPlot("bars", { panels: [panel, panel] });
  assertWellFormed(svg);
  const bars = barsOf(svg, BEFORE!).slice(-6);
  const [many, ten, one] = bars.slice(0, 3);
  deepStrictEqual(bars.slice(3), [many, ten, one], svg);
  ok(one! > 10, `${bars}`);
  ok(Math.abs((many! - ten!) - (ten! - one!)) < 0.5, `${bars}`);
  strictEqual(barsOf(svg, AFTER!).slice(-4).length, 4);
  const texts = [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text);
  for (const text of ["before", "after", "Channels", "Step", "-0.5", "1", "100"]) {
    ok(texts.includes(text), `${texts}`);
  }
  ok(!texts.includes("0.1") && !svg.includes("NaN"));
});
