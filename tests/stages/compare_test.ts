import { strict as assert } from "node:assert";
import { comparisonHeadline } from "../../stages/describe/comparison.ts";
import type { Evaluation } from "../../stages/report/evaluation.ts";
import { evaluation, PROTOCOL, run } from "../support/compared_models.ts";
import { assertWellFormed } from "../support/svg_check.ts";

const FULL = evaluation({ scheme: "W16 A16 KV16", bitsPerWeight: 16, kvBytesPerToken: 2048 }, {
  perplexity: 2,
});
const QOQ = evaluation({
  scheme: "W4 g128 | two-level A8 KV4",
  bitsPerWeight: 4.25,
  kvBytesPerToken: 576,
  layers: [{ layer: 0, error: 0.002 }, { layer: 3, error: 0.03 }],
  kvErrors: [0.001, 0.002, 0.003, 0.004],
}, { perplexity: 2.02, perplexity_ratio: 1.01, kl: 0.012345, top1: 0.97531 });

Deno.test("compare writes a table of its reports in their order", async () => {
  await using made = await run([FULL, QOQ], { title: "Methods" });
  const table = (await made.read("report.md")).split("\n").filter((line) => line.startsWith("|"));
  assert.deepEqual(table, [
    "| Method | Bits per weight | Weights, MB | KV, bytes per token | Perplexity | Ratio | KL, nats | Top-1 agrees |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    "| W16 A16 KV16 | 16.00 | 19.2 | 2048 | 2.0000 | 1.0000 |  |  |",
    "| W4 g128 \\| two-level A8 KV4 | 4.25 | 5.1 | 576 | 2.0200 | 1.0100 | 0.0123 | 97.53 % |",
  ]);
  assert.match(made.notes[0]!, /^W16 A16 KV16: perplexity 2\.0000 \(1\.0000 of the first\)/);
  assert.match(made.notes[1]!, /KL 0\.0123, top-1 97\.53 %, 4\.25 bits per weight, 5\.1 MB/);
  assert.match(made.notes[2]!, /report\.html and report\.md/);
  const { rows } = JSON.parse(await made.read("report.json"));
  assert.deepEqual(rows.map((row: { ratio: number }) => row.ratio), [1, 1.01]);
  assert.deepEqual(rows.map((row: { kl?: number }) => row.kl), [undefined, 0.012345]);
});

Deno.test("a perplexity has the standard error of its windows", async () => {
  // Means of 0.6 and 0.8: a deviation of sqrt(0.02), so an error of 0.1 of the mean of two.
  const windows = { ...QOQ, windowMeans: [0.6, 0.8] };
  await using made = await run([FULL, windows], { plot: false });
  assert.match(await made.read("report.md"), /\| 2\.0200 ± 0\.2020 \| 1\.0100 \|/);
  const { rows } = JSON.parse(await made.read("report.json"));
  assert.equal(rows[0].perplexityError, undefined);
  assert.ok(Math.abs(rows[1].perplexityError - 0.202) < 1e-12);
});

Deno.test("divergence and agreement have the standard error of their windows", async () => {
  // Two values at a distance d from their mean deviate by sqrt(2) d, over the root of two windows.
  const windows = {
    ...QOQ,
    windowMeans: [0.6, 0.8],
    windowKl: [0.012345 - 0.0014, 0.012345 + 0.0014],
    windowTop1: [0.96531, 0.98531],
  };
  await using made = await run([FULL, windows], { plot: false });
  assert.match(await made.read("report.md"), /\| 0\.0123 ± 0\.0014 \| 97\.53 ± 1\.00 % \|/);
});

Deno.test("rows are held against the one before and the best, window by window", async () => {
  const means = [0.6, 0.9, 0.7, 0.8, 0.5, 1.1, 0.65, 0.75];
  const row = (more: number, kl: number, spread = 0) => ({
    ...QOQ,
    scores: { ...QOQ.scores, kl },
    windowMeans: means.map((mean, at) => mean + more + spread * (at % 2 === 0 ? 1 : -1)),
    windowKl: means.map((_, at) => kl + 0.001 * (at % 3) + spread * (at % 2 === 0 ? 1 : -1)),
  });
  const full = { ...FULL, windowMeans: means };
  const reports = [full, row(0.1, 0.02), row(0.05, 0.01), row(0.05, 0.0101, 0.01)];
  const labels = ["full", "poor", "best", "alike"];
  await using made = await run(reports, { plot: false, labels });
  const text = await made.read("report.md");
  const table = text.slice(text.indexOf("Differences")).split("\n")
    .filter((line) => line.startsWith("|"));
  assert.deepEqual(table, [
    "| Method | Perplexity to the row before | KL to the row before | Perplexity to the best | KL to the best |",
    "| --- | ---: | ---: | ---: | ---: |",
    "| poor |  |  | +5.13 % ± 0.00 | +0.0100 ± 0.0000 |",
    "| best | -4.88 % ± 0.00 | -0.0100 ± 0.0000 |  |  |",
    "| alike | 0.00 % ± 0.38, not distinguishable | +0.0001 ± 0.0038, not distinguishable | 0.00 % ± 0.38, not distinguishable | +0.0001 ± 0.0038, not distinguishable |",
  ]);
  const { notes } = comparisonHeadline(JSON.parse(await made.read("report.json")));
  assert.match(notes!.at(-1)!, /^alike: not distinguishable from best$/);
});

Deno.test("few windows are said to tell no models apart", async () => {
  const row = (more: number) => ({
    ...QOQ,
    protocol: { ...PROTOCOL, windows: 2 },
    windowMeans: [0.6 + more, 0.8 + more],
  });
  await using made = await run([row(0), row(0.1), row(0.2)], { plot: false });
  const text = await made.read("report.md");
  assert.match(text, /over 2 windows.*fewer than 6 windows tell no models apart/);
  assert.doesNotMatch(text, /not distinguishable/);
  const { notes } = comparisonHeadline(JSON.parse(await made.read("report.json")));
  assert.equal(notes!.at(-1), "2 windows do not tell models apart, expected 6 at least");
});

Deno.test("llama.cpp's scores stand under a protocol of their own", async () => {
  const llamaCpp = {
    protocol: "halves",
    tokens: 1000,
    perplexity: 2.5,
    perplexityError: 0.25,
    kl: 0.0125,
    klError: 0.0005,
    kl99: 0.125,
    top1: 0.9,
    top1Error: 0.01,
  };
  await using made = await run([FULL, { ...QOQ, llamaCpp }], { plot: false });
  const text = await made.read("report.md");
  const passage = text.slice(text.indexOf("By llama.cpp's protocol"));
  assert.match(passage, /1000 tokens \(halves\)\. Not to be compared/);
  assert.match(
    passage,
    /\| 2\.5000 ± 0\.2500 \| 0\.012500 ± 0\.000500 \| 0\.125000 \| 90\.00 ± 1\.00 % \|/,
  );
});

Deno.test("the headline of a comparison has names in few words and what is kept", async () => {
  const worse = { ...QOQ, scores: { ...QOQ.scores, perplexity: 3, kl: 0.25, top1: 0.85 } };
  const scheme = "W4 g128 two-level post-scale A8 per token KV4";
  const schemed = [QOQ, worse].map((one) => ({ ...one, model: { ...one.model, scheme } }));
  await using made = await run([FULL, ...schemed], {
    title: "Methods",
    labels: ["half precision", "QoQ", "RTN"],
    plot: false,
  });
  const headline = comparisonHeadline(JSON.parse(await made.read("report.json")));
  assert.equal(headline.tellsScores, true);
  assert.deepEqual(headline.table!.rows, [
    ["half precision", "2.0000", "", "", "16.00", "19.2", "2048"],
    ["QoQ W4A8KV4 g128", "2.0200", "0.012", "97.5 %", "4.25", "5.1", "576"],
    ["RTN W4A8KV4 g128", "3.0000", "0.25", "85.0 %", "4.25", "5.1", "576"],
  ]);
  assert.deepEqual(headline.notes, [
    "QoQ keeps 97.5 % of the tokens that half precision would choose, and its weights take 5.1 of 19.2 MB; RTN loses 15.0 %",
  ]);
  await using plain = await run([FULL], { plot: false });
  const alone = comparisonHeadline(JSON.parse(await plain.read("report.json")));
  assert.deepEqual(alone.table!.rows, [["half precision", "2.0000", "16.00", "19.2", "2048"]]);
  assert.deepEqual(alone.notes, []);
  await using unnamed = await run([FULL, schemed[0]!], { plot: false });
  assert.deepEqual(comparisonHeadline(JSON.parse(await unnamed.read("report.json"))).notes, [
    "W4A8KV4 g128 keeps 97.5 % of the tokens that half precision would choose, and its weights take 5.1 of 19.2 MB",
  ]);
});

Deno.test("weights that became no smaller are not said to take a part of others'", async () => {
  const sizes = [[269.1, 325.7, "but its weights take 325.7 MB, more than the 269.1 MB of full"], [
    269.1,
    269.1,
    "and its weights take the same 269.1 MB",
  ]] as const;
  for (const [before, now, words] of sizes) {
    const [full, cached] = [[FULL, before] as const, [QOQ, now] as const].map(([one, size]) => ({
      ...one,
      model: { ...one.model, bytes: size * 1e6 },
    }));
    await using made = await run([full!, cached!], { labels: ["full", "KV4"], plot: false });
    const { notes } = comparisonHeadline(JSON.parse(await made.read("report.json")));
    assert.deepEqual(notes, [
      `KV4 keeps 97.5 % of the tokens that full would choose, ${words}`,
    ]);
  }
});

Deno.test("compare draws labelled plots and a page that needs no other host", async () => {
  const labels = ["full <precision>", "QoQ & friends"];
  await using made = await run([FULL, QOQ], { labels });
  const plots = [await made.read("perplexity.svg"), await made.read("layers.svg")];
  for (const plot of plots) assertWellFormed(plot);
  const texts = plots.map((plot) => [...plot.matchAll(/<text[^>]*>([^<]*)</g)].map(([, x]) => x!));
  for (const label of ["full &lt;precision&gt;", "QoQ &amp; friends"]) {
    // A point in each of the two panels.
    assert.equal(texts[0]!.filter((text) => text === label).length, 2, label);
  }
  assert.ok(texts[0]!.includes("Bits per weight") && texts[0]!.includes("Perplexity increase, %"));
  assert.ok(texts[1]!.includes("QoQ &amp; friends") && texts[1]!.includes("Layer"));
  assert.ok(!texts[1]!.includes("full &lt;precision&gt;"), "full precision has no errors");
  assert.ok(["0", "1", "2", "3"].every((layer) => texts[1]!.includes(layer)));
  const page = await made.read("report.html");
  for (const plot of plots) assert.ok(page.includes(plot));
  assert.match(
    page,
    /<td data-column="Method">full &lt;precision&gt;<\/td><td data-column="[^"]*">W16 A16 KV16<\/td>/,
  );
  const lead =
    '<p class="lead">QoQ &amp; friends keeps 97.5 % of the tokens that full &lt;precision&gt;';
  assert.ok(page.includes(lead), "no headline");
  assert.match(await made.read("report.md"), /^# [^\n]*\n\nQoQ & friends keeps 97\.5 %/);
  assert.match(page, /prefers-color-scheme: dark/);
  const hosts = page.replaceAll('xmlns="http://www.w3.org/2000/svg"', "");
  assert.doesNotMatch(hosts, /https?:|\bsrc=|url\((?!#)|@import|<script|<link/);
});

Deno.test("points are labelled where they are, on labels' own lines", async () => {
  const close = [2, 2.001, 2.002].map((perplexity) =>
    evaluation({ scheme: "W4", bitsPerWeight: 4 }, { perplexity })
  );
  await using made = await run([FULL, ...close], { labels: ["full", "one", "two", "three"] });
  const svg = await made.read("perplexity.svg");
  const heights = ["one", "two", "three"].map((label) => {
    const [, y] = new RegExp(`translate\\([\\d.]+ ([\\d.]+)\\)"[^>]*>${label}<`).exec(svg) ?? [];
    return Number(y);
  }).sort((a, b) => a - b);
  assert.ok(heights[1]! - heights[0]! >= 14 && heights[2]! - heights[1]! >= 14, `${heights}`);
});

Deno.test("twelve models have colors of their own, and labels within the panel and off each other", async () => {
  const twelve = Array.from(
    { length: 12 },
    (_, at) => evaluation({ scheme: "W4", bitsPerWeight: 4 }, { perplexity: 1.5 + at / 1e4 }),
  );
  const labels = twelve.map((_, at) => `method ${at}`);
  await using made = await run(twelve, { labels });
  const svg = await made.read("perplexity.svg");
  const colors = new Set([...svg.matchAll(/fill="(#[0-9a-f]{6})"/g)].map(([, color]) => color));
  assert.ok(colors.size >= 12, `${colors.size} colors`);
  const heights = labels.map((label) => {
    const [, y] = new RegExp(`translate\\([\\d.]+ ([\\d.]+)\\)"[^>]*>${label}<`).exec(svg) ?? [];
    return Number(y);
  }).sort((a, b) => a - b);
  // A panel of 280 pixels, 24 below the upper edge; letters are 12 high.
  assert.ok(heights[0]! >= 24 && heights.at(-1)! <= 24 + 280, `${heights}`);
  for (const [at, height] of heights.slice(1).entries()) {
    assert.ok(height - heights[at]! >= 13, `${heights}`);
  }
});

Deno.test("the same reports make the same bytes, also later in a process", async () => {
  await using first = await run([FULL, QOQ]);
  await using second = await run([FULL, QOQ]);
  for (const name of ["perplexity.svg", "layers.svg", "report.html"]) {
    assert.equal(await second.read(name), await first.read(name));
  }
});

Deno.test("compare leaves out plots that are not wanted, or have nothing to show", async () => {
  await using table = await run([FULL, QOQ], { plot: false });
  assert.deepEqual(table.files, ["report.json", "report.md"]);
  assert.match(table.notes.at(-1)!, /^table in report\.md$/);
  await using plain = await run([FULL]);
  assert.deepEqual(plain.files, ["perplexity.svg", "report.html", "report.json", "report.md"]);
});

Deno.test("models of one scheme get names that differ", async () => {
  await using made = await run([QOQ, QOQ], { plot: false });
  const { rows } = JSON.parse(await made.read("report.json"));
  assert.deepEqual(rows.map((row: { label: string }) => row.label), [
    "W4 g128 | two-level A8 KV4",
    "W4 g128 | two-level A8 KV4_2",
  ]);
});

Deno.test("compare refuses reports that cannot be compared", async () => {
  const shorter = { ...QOQ, protocol: { ...PROTOCOL, windows: 8 } };
  await assert.rejects(
    run([FULL, shorter]),
    /report 2 with the first: its windows is 8, expected 16/,
  );
  const other = { ...QOQ, protocol: { ...PROTOCOL, tokens: "cd".repeat(32) } };
  await assert.rejects(run([FULL, other]), /the digest of its tokens is cdcdcdcdcdcd/);
  await assert.rejects(run([FULL, QOQ], { labels: ["one"] }), /1 labels, expected one a report/);
  await assert.rejects(run([]), /expected at least one/);
  const comparison = { title: "x", rows: [] } as unknown as Evaluation;
  await assert.rejects(run([comparison]), /expected the report of an evaluate step/);
});
