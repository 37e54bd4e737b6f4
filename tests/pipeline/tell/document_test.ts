import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { Panel, Passage, Plot } from "../../../pipeline/description.ts";
import { documentPage, drawPlots, markdownText } from "../../../pipeline/tell/document.ts";
import { descriptionText } from "../../../pipeline/tell/inspect/text.ts";
import { sectionHtml, tableHtml } from "../../../pipeline/tell/html.ts";
import { assertWellFormed } from "../../support/svg_check.ts";

const PASSAGES: readonly Passage[] = [
  { title: "Speed", lines: ["Measured twice.", "Then again."] },
  {
    title: "Best",
    table: {
      columns: [{ heading: "Model" }, { heading: "Tokens/s", number: true }],
      rows: [["a|b <c>\n\\d", "12.5"], ["e & f", ""]],
    },
    notes: ["g: it is 3 | 4 <MB>", "h"],
  },
];

Deno.test("passages are Markdown whose cells and notes keep to their lines", () => {
  strictEqual(
    markdownText(PASSAGES),
    `# Speed

Measured twice.

Then again.

## Best

| Model | Tokens/s |
| --- | ---: |
| a\\|b \\<c> \\\\d | 12.5 |
| e & f |  |

- g: it is 3 \\| 4 \\<MB>
- h
`,
  );
});

Deno.test("passages are a page in which texts are texts, with drawings below", () => {
  const page = documentPage(PASSAGES, {
    lead: ["It is <fast>."],
    drawings: [{ name: "x", svg: "<svg></svg>" }],
    narrow: [{ name: "x-narrow", svg: "<svg><g/></svg>" }],
  });
  match(page, /^<!doctype html>\n/);
  match(page, /<title>Speed<\/title>/);
  const body = /<body>\n([^]*)\n<\/body>/.exec(page)?.[1];
  deepStrictEqual(body?.split("\n").slice(0, 6), [
    "<h1>Speed</h1>",
    '<p class="lead">It is &lt;fast&gt;.</p>',
    "<p>Measured twice.</p>",
    "<p>Then again.</p>",
    "<h2>Best</h2>",
    '<div class="wide"><table>',
  ]);
  match(page, /<th>Model<\/th><th class="number">Tokens\/s<\/th>/);
  match(
    page,
    /<td data-column="Model">e &amp; f<\/td><td class="number" data-column="Tokens\/s"><\/td>/,
  );
  match(page, /<li>g: it is 3 \| 4 &lt;MB&gt;<\/li>/);
  match(
    page,
    /<div class="roomy"><svg><\/svg><\/div>\n<div class="narrow"><svg><g\/><\/svg><\/div>\n<\/body>\n<\/html>\n$/,
  );
  match(markdownText(PASSAGES, ["It is fast."]), /^# Speed\n\nIt is fast\.\n\nMeasured twice\./);
});

Deno.test("notes stand below their table in a terminal and in a report", () => {
  const screen = { columns: 0, color: false, write: () => {}, error: () => {} };
  const text = descriptionText(
    { title: "t", sections: PASSAGES.slice(1), warnings: [], figures: [] },
    screen,
  );
  deepStrictEqual(text.trimEnd().split("\n").slice(-2), ["  g: it is 3 | 4 <MB>", "  h"]);
  match(sectionHtml(PASSAGES[1]!), /<\/table>\n<\/div>\n<ul>\n<li>g: /);
});

Deno.test("plots are drawn as files of their names, without panels that have no point", async () => {
  const panel = (up: string, points: readonly (readonly [number, number])[]): Panel => ({
    across: "Layer",
    up,
    series: [{ name: "a & b", points }, { name: "none", points: [] }],
  });
  const plot = (name: string, form: Plot["form"], panels: readonly Panel[]): Plot => ({
    name,
    title: name,
    form,
    panels,
  });
  const drawings = await drawPlots([
    plot("curves", "lines", [panel("Error", [[0, 1], [1, 2]]), panel("Nothing", [])]),
    plot("empty", "lines", [panel("Nothing", [])]),
    plot("places", "points", [panel("Error", [[3, 4]]), panel("Loss", [[5, 6]])]),
  ]);
  deepStrictEqual(drawings.map(({ name }) => name), ["curves", "places"]);
  const texts = drawings.map(({ svg }) =>
    [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text)
  );
  for (const { svg } of drawings) assertWellFormed(svg);
  const times = (at: number, word: string) => texts[at]?.filter((text) => text === word).length;
  deepStrictEqual(["a &amp; b", "none", "Error", "Nothing"].map((word) => times(0, word)), [
    1,
    0,
    1,
    0,
  ]);
  deepStrictEqual(["a &amp; b", "none", "Error", "Loss"].map((word) => times(1, word)), [
    2,
    0,
    1,
    1,
  ]);
});

Deno.test("the first column of a table names its rows, unless it has texts", () => {
  const columns = [{ heading: "plain" }, { heading: "rounded" }];
  const story = "Once there was a girl who lived by the sea and wore a green cloak. ".repeat(2);
  const html = tableHtml({ columns, rows: [["name", "b"], [story, "c"]] }, { label: "t" });
  match(html, /<th scope="row">name<\/th><td>b<\/td>/);
  match(html, /<td class="long">Once there/);
});
