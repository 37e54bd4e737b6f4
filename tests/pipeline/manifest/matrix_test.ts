import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { Manifest } from "../../../pipeline/manifest/manifest.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import type { Setting } from "../../../pipeline/manifest/override.ts";
import { problemLines, stages } from "../../support/manifest_stages.ts";

const path = "configs/sweep.yaml";

function parse(text: string, ...set: Setting[]): Manifest {
  return parseManifest(text, { path, stages, set });
}

function problemsOf(text: string, ...set: Setting[]): string[] {
  return problemLines(() => parse(text, ...set));
}

/** A model in three forms: untouched, quantized, and quantized twice. */
const sweep = (matrix: string, report = "") =>
  `matrix: ${matrix}
params: { model: m, bits: 4, group: 128, alpha: 0.5 }
steps:
  source: { stage: load, with: { path: "\${model}" } }
  text: { stage: tokenize, from: { model: source }, with: { text: x } }
  plain: { stage: evaluate, from: { model: source, tokens: text } }
  first:
    stage: quantize
    from: { model: source }
    with: { bits: 8, scheme: { symmetric: true, alpha: "\${alpha}" } }
  second: { stage: quantize, from: { model: first }, with: { bits: "\${bits}", group: "\${group}" } }
  quality: { stage: evaluate, from: { model: second, tokens: text } }
  all: { stage: compare, from: { reports: [plain, quality] }${report} }
`;

const named = (manifest: Manifest, name: string) =>
  manifest.steps.find((step) => step.name === name);
const names = (manifest: Manifest, start: string) =>
  manifest.steps.map(({ name }) => name).filter((name) => name.startsWith(start));

Deno.test("a matrix makes every step once for the swept values that it depends on", () => {
  const manifest = parse(sweep("{ group: [64, 128], alpha: [0.2, 0.3] }"));
  deepStrictEqual(manifest.steps.map(({ name }) => name), [
    "source",
    "text",
    "plain",
    "first[alpha=0.2]",
    "second[alpha=0.2,group=64]",
    "quality[alpha=0.2,group=64]",
    "second[alpha=0.2,group=128]",
    "quality[alpha=0.2,group=128]",
    "first[alpha=0.3]",
    "second[alpha=0.3,group=64]",
    "quality[alpha=0.3,group=64]",
    "second[alpha=0.3,group=128]",
    "quality[alpha=0.3,group=128]",
    "all",
  ]);
  deepStrictEqual(named(manifest, "second[alpha=0.3,group=64]"), {
    name: "second[alpha=0.3,group=64]",
    stage: "quantize",
    params: { bits: 4, group: 64, skips: [] },
    inputs: { model: "first[alpha=0.3]" },
    source: path,
    line: 11,
  });
  deepStrictEqual(manifest.params, { model: "m", bits: 4, group: [64, 128], alpha: [0.2, 0.3] });
});

Deno.test("a swept step has the parameters and the wiring of the manifest with that value written out", () => {
  const manifest = parse(sweep("{ group: [64, 128], alpha: [0.2, 0.3] }"));
  for (const [alpha, group] of [[0.2, 64], [0.2, 128], [0.3, 64], [0.3, 128]]) {
    const single = parse(sweep("{}"), `alpha=${alpha}`, `group=${group}`);
    for (const name of ["first", "second", "quality"]) {
      const own = name === "first" ? `alpha=${alpha}` : `alpha=${alpha},group=${group}`;
      const { params, inputs } = named(manifest, `${name}[${own}]`) ?? {};
      const { params: wanted, inputs: fed } = named(single, name) ?? {};
      deepStrictEqual(params, wanted);
      const plain = JSON.stringify(inputs).replaceAll(/\[[^\]]*\]/g, "");
      deepStrictEqual(JSON.parse(plain), fed);
    }
  }
});

Deno.test("a list input takes every variant, and labels grow with it", () => {
  const matrix = "{ group: [64, 128] }";
  const all = (report: string) => named(parse(sweep(matrix, report)), "all");
  deepStrictEqual(all("")?.inputs, {
    reports: ["plain", "quality[group=64]", "quality[group=128]"],
  });
  // Without labels the steps' names, since the schemes of a sweep's models are often the same.
  deepStrictEqual(all("")?.params, {
    title: "All",
    labels: ["plain", "quality[group=64]", "quality[group=128]"],
  });
  deepStrictEqual(all(", with: { labels: [full, W4] }")?.params, {
    title: "All",
    labels: ["full", "W4 group=64", "W4 group=128"],
  });
  deepStrictEqual(all(", with: { labels: [full, fine, coarse] }")?.params, {
    title: "All",
    labels: ["full", "fine", "coarse"],
  });
  const column = (report: string) =>
    (sweep(matrix, report).split("\n")[12] ?? "").indexOf("[a") + 1;
  const four = ", with: { labels: [a, b, c, d] }";
  deepStrictEqual(problemsOf(sweep(matrix, four)), [
    `${path}:13:${
      column(four)
    }: Cannot name the 3 reports of step "all" by 4 labels: expected 2, one a step, or 3`,
  ]);
  const one = ", with: { labels: [a] }";
  deepStrictEqual(problemsOf(sweep("{}", one)), [
    `${path}:13:${column(one)}: Cannot name the 2 reports of step "all" by 1 labels: expected 2`,
  ]);
  deepStrictEqual(named(parse(sweep("{}")), "all")?.params, { title: "All" });
});

Deno.test("a list input of a swept step takes the variants that go with its own values", () => {
  const manifest = parse(
    sweep("{ group: [64, 128], alpha: [0.2, 0.3] }", ', with: { title: "by ${alpha}" }'),
  );
  deepStrictEqual(names(manifest, "all"), ["all[alpha=0.2]", "all[alpha=0.3]"]);
  deepStrictEqual(named(manifest, "all[alpha=0.3]")?.inputs, {
    reports: ["plain", "quality[alpha=0.3,group=64]", "quality[alpha=0.3,group=128]"],
  });
});

Deno.test("`include` and `exclude` mean what they mean in GitHub's workflows", () => {
  // The example of "Running variations of jobs in a workflow", with its result.
  const text = `matrix:
  fruit: [apple, pear]
  animal: [cat, dog]
  include:
    - color: green
    - color: pink
      animal: cat
    - fruit: apple
      shape: circle
    - fruit: banana
    - fruit: banana
      animal: cat
params: { fruit: none, animal: none, color: none, shape: none }
steps:
  job: { stage: load, with: { path: "\${fruit} \${animal} \${color} \${shape}" } }
`;
  const jobs = (text: string, ...set: Setting[]) =>
    parse(text, ...set).steps.map(({ params }) => (params as { path: string }).path).sort();
  deepStrictEqual(
    jobs(text),
    [
      "apple cat pink circle",
      "apple dog green circle",
      "pear cat pink none",
      "pear dog green none",
      "banana none none none",
      "banana cat none none",
    ].sort(),
  );
  // Their example of excluding: what agrees with any entry goes, by some of its values or by all.
  const excluding = `matrix:
  os: [macos, windows]
  version: [12, 14, 16]
  environment: [staging, production]
  exclude:
    - { os: macos, version: 12, environment: production }
    - { os: windows, version: 16 }
params: { os: x, version: 1, environment: x }
steps: { job: { stage: load, with: { path: "\${os} \${version} \${environment}" } } }
`;
  const left = jobs(excluding);
  strictEqual(left.length, 9);
  ok(!left.includes("macos 12 production") && left.includes("macos 12 staging"));
  ok(!left.some((job) => job.startsWith("windows 16")));
});

Deno.test("`include` alone gives combinations of its own", () => {
  const manifest = parse(
    sweep("{ include: [{ alpha: 0.1, group: 32 }, { alpha: 0.7 }, { alpha: 0.7 }] }"),
  );
  deepStrictEqual(names(manifest, "quality"), [
    "quality[alpha=0.1,group=32]",
    "quality[alpha=0.7,group=128]",
  ]);
});

Deno.test("`--set` takes a param out of the sweep", () => {
  const both = sweep("{ group: [64, 128], alpha: [0.2, 0.3] }");
  deepStrictEqual(names(parse(both, "alpha=0.4"), "first"), ["first"]);
  deepStrictEqual(names(parse(both, "alpha=0.4"), "second"), [
    "second[group=64]",
    "second[group=128]",
  ]);
  deepStrictEqual(
    named(parse(both, "alpha=0.4"), "first")?.params,
    { bits: 8, skips: [], scheme: { symmetric: true, alpha: 0.4 } },
  );
  deepStrictEqual(names(parse(both, "alpha=0.4", "group=1"), "second"), ["second"]);
  const linked = sweep("{ include: [{ alpha: 0.1, group: 32 }, { alpha: 0.7, group: 64 }] }");
  deepStrictEqual(names(parse(linked, "alpha=0.4"), "quality"), [
    "quality[group=32]",
    "quality[group=64]",
  ]);
  const without = sweep(
    "{ group: [64, 128], alpha: [0.2, 0.3], exclude: [{ alpha: 0.2, group: 64 }] }",
  );
  deepStrictEqual(names(parse(without, "alpha=0.2"), "second"), ["second[group=128]"]);
  const none = sweep("{ alpha: [0.2, 0.3], exclude: [{ alpha: 0.2 }] }");
  deepStrictEqual(problemsOf(none, "alpha=0.2"), [
    "--set alpha=0.2: Cannot sweep so: every combination is excluded, expected one at least",
  ]);
  // A parameter that is set no longer uses the param, so that its step is one again.
  deepStrictEqual(names(parse(both, "first.scheme.alpha=0.9"), "first"), ["first"]);
  const special = parse(both, "second[alpha=0.2,group=64].bits=2");
  const bits = special.steps.filter(({ name }) => name.startsWith("second"))
    .map(({ params }) => (params as { bits: number }).bits);
  deepStrictEqual(bits, [2, 4, 4, 4]);
});

Deno.test("every problem of a matrix is told where it stands, with the nearest name", () => {
  const cases: [matrix: string, problems: string[]][] = [
    ["{ grup: [1] }", ['1:11: Cannot sweep over "grup": did you mean "group"?']],
    ["{ group: [] }", [
      '1:18: Cannot sweep over "group": it has an empty list, expected a list of values',
    ]],
    ["{ group: 64 }", [
      '1:18: Cannot sweep over "group": it has a number, expected a list of values',
    ]],
    ["{ group: [64, [1], null] }", [
      '1:23: Cannot sweep "group" over a list: expected a number, text, true or false',
      '1:28: Cannot sweep "group" over nothing: expected a number, text, true or false',
    ]],
    ["{ group: [64, 64] }", ['1:23: Cannot sweep over "group" with 64 twice']],
    ['{ group: [64, "64"] }', [
      '1:23: Cannot sweep "group" over 64 and "64": expected values that differ as text',
      '1:23: Cannot use "64" for "group" of step "second": expected number, received string',
    ]],
    ["{ group: [64, 7.5] }", [
      '1:23: Cannot use 7.5 for "group" of step "second": expected int, received number',
    ]],
    ["{ alpha: [0.1, 2] }", [
      '1:24: Cannot use 2 for "scheme.alpha" of step "first": Too big: expected number to be <=1',
    ]],
    ["{ group: [64], exclude: [{ grup: 64 }] }", [
      '1:36: Cannot exclude by "grup": did you mean "group"?',
    ]],
    ["{ group: [64, 32], exclude: [{ group: 63 }] }", [
      "1:38: Cannot exclude { group: 63 }: no combination has that, expected values of the matrix",
    ]],
    ["{ group: [64], exclude: [{ group: 64 }] }", [
      "1:9: Cannot sweep: every combination is excluded, expected one at least",
    ]],
    ["{ group: [64], include: [{ alpa: 1 }, 5, {}] }", [
      '1:36: Cannot include by "alpa": did you mean "alpha"?',
      "1:47: Cannot include a number: expected a list of mappings such as - { param: 1 }",
      "1:50: Cannot include an empty mapping: expected a list of mappings such as - { param: 1 }",
    ]],
    ["{ include: { alpha: 1 } }", [
      "1:20: Cannot include a mapping: expected a list of mappings such as - { param: 1 }",
    ]],
    ["[1]", ['1:9: Cannot read "matrix": it is a list, expected a mapping such as param: [1, 2]']],
  ];
  for (const [matrix, problems] of cases) {
    deepStrictEqual(problemsOf(sweep(matrix)), problems.map((problem) => `${path}:${problem}`));
  }
  const many = Array.from({ length: 40 }, (_, i) => i / 100).join(", ");
  deepStrictEqual(problemsOf(sweep(`{ alpha: [${many}], group: [${many}] }`)).slice(0, 1), [
    `${path}:1:9: Cannot sweep over 1600 combinations: expected at most 1000`,
  ]);
  deepStrictEqual(
    problemsOf(
      `${sweep("{ group: [64, 32] }")}  second[group=64]: { stage: load, with: { path: x } }`,
    ),
    [`${path}:14:3: Cannot name a step "second[group=64]": the matrix makes one of that name`],
  );
});

Deno.test("names of swept steps have nothing in them that patterns, lists or paths would read", () => {
  const manifest = parse(sweep('{ model: ["a b", "c,d]*", hf:org/name, "ä", "%2C", ","] }'));
  deepStrictEqual(names(manifest, "source"), [
    "source[model=a%20b]",
    "source[model=c%2Cd%5D%2A]",
    "source[model=hf:org%2Fname]",
    "source[model=ä]",
    "source[model=%252C]",
    "source[model=%2C]",
  ]);
});

Deno.test("a sweep over any combinations is the union of the runs with each of them", () => {
  const value = fc.integer({ min: 1, max: 3 });
  const line = fc.record({ bits: fc.constantFrom(2, 4), group: value, alpha: value }, {
    requiredKeys: [],
  }).filter((one) => Object.keys(one).length > 0);
  const axis = fc.uniqueArray(value, { minLength: 1, maxLength: 3 });
  const matrix = fc.record(
    { group: axis, alpha: axis, include: fc.array(line, { maxLength: 3 }) },
    {
      requiredKeys: [],
    },
  );
  const scaled = (text: string) => text.replaceAll(/"alpha":(\d)/g, '"alpha":0.$1');
  fc.assert(
    fc.property(matrix, (given) => {
      const { alpha, ...rest } = given;
      const words = { ...rest, ...alpha && { alpha: alpha.map((value) => value / 10) } };
      const text = scaled(JSON.stringify(words));
      if (Object.keys(given).length === 0 || given.include?.length === 0) return;
      const manifest = parse(sweep(text));
      const found = new Set(
        manifest.steps.filter(({ stage }) => stage === "quantize").map(({ params }) =>
          JSON.stringify(params)
        ),
      );
      const reports = named(manifest, "all")?.inputs.reports ?? [];
      const wanted = new Set<string>();
      // Each report stands for one combination, whose values its name says.
      for (const report of [reports].flat().slice(1)) {
        const set = report.match(/\[(.*)\]/)?.[1]?.split(",") ?? [];
        for (const { stage, params } of parse(sweep("{}"), ...set).steps) {
          if (stage === "quantize") wanted.add(JSON.stringify(params));
        }
      }
      deepStrictEqual([...found].sort(), [...wanted].sort());
    }),
    { seed: 5, numRuns: 150 },
  );
});
