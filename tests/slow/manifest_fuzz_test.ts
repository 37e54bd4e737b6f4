// Slow: reads thousands of manifests that nobody would write.
import { deepStrictEqual, match, ok } from "node:assert/strict";
import fc from "fast-check";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parse, stringify, type ToStringOptions } from "yaml";
import type { Manifest, ManifestOptions } from "../../pipeline/manifest/manifest.ts";
import { parseManifest } from "../../pipeline/manifest/read_manifest.ts";
import { rowsOf } from "../../pipeline/manifest/origin.ts";
import type { Setting } from "../../pipeline/manifest/override.ts";
import { ManifestError, type Problem } from "../../pipeline/manifest/problem.ts";
import { type Resolved, resolveManifest } from "../../pipeline/manifest/resolve.ts";
import { manifestText } from "../../pipeline/manifest/show.ts";
import type { Registry } from "../../pipeline/stage.ts";
import * as models from "../../stages/mod.ts";
import { stages } from "../support/manifest_stages.ts";

const CONFIGS = fileURLToPath(new URL("../../configs/", import.meta.url));
/** The configs of the repository by name. */
const REAL = new Map(
  [...Deno.readDirSync(CONFIGS)].map(({ name }) => name).filter((name) => name.endsWith(".yaml"))
    .sort().map((name) => [name, Deno.readTextFileSync(CONFIGS + name)]),
);

/** Processor time that no manifest here may take. */
const SECONDS = 5;

/** Words that mean something in a manifest, and some that should not. */
const word = fc.oneof(
  fc.constantFrom(
    ...["stage", "from", "with", "steps", "params", "matrix", "extends", "include", "exclude"],
    ...["load", "tokenize", "quantize", "compare", "path", "bits", "labels", "reports", "model"],
    ...["a", "b", "m", "a[m=1]", "${m}", "$${m}", "${m}x${b}", "__proto__", "constructor", ""],
    ...["a.yaml", "b.yaml", "c.yaml", "./a.yaml", "none.yaml", "..", "/"],
  ),
  fc.string({ maxLength: 6, unit: "binary" }),
);

const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    word,
    fc.oneof(fc.integer(), fc.double(), fc.boolean(), fc.constant(null)),
    tie("list"),
    tie("map"),
  ),
  list: fc.array(tie("value"), { maxLength: 4 }),
  map: fc.dictionary(word, tie("value"), { maxKeys: 4 }),
})).value;

/** Trees that get past the first checks more often than others. */
const step = fc.record({
  stage: fc.constantFrom("load", "quantize", "evaluate", "compare", "tokenize", "lod"),
  from: fc.dictionary(
    fc.constantFrom("model", "tokens", "reports", "stats"),
    fc.oneof(word, value),
  ),
  with: fc.oneof(
    fc.dictionary(fc.constantFrom("path", "bits", "text", "labels", "scheme", "skips"), value),
    fc.constantFrom({ path: "${m}" }, { bits: 4, group: "${b}" }, { path: "${m}${b}" }),
  ),
}, { requiredKeys: [] });
const name = fc.oneof(fc.constantFrom("a", "b", "c", "d"), word);
const scalar = fc.oneof(fc.constantFrom(1, 2, 64, "x", true, "1"), fc.string({ maxLength: 3 }));
const line = fc.dictionary(fc.constantFrom("m", "b", "c"), fc.oneof(scalar, value), { maxKeys: 3 });
const manifest = fc.record({
  extends: fc.oneof(word, fc.array(word, { maxLength: 3 }), value),
  params: fc.oneof(fc.constant({ m: "x", b: 4 }), value),
  matrix: fc.oneof(
    fc.record({
      m: fc.array(scalar, { maxLength: 4 }),
      b: fc.oneof(fc.array(scalar, { maxLength: 3 }), value),
      include: fc.array(line, { maxLength: 3 }),
      exclude: fc.array(line, { maxLength: 2 }),
    }, { requiredKeys: [] }),
    value,
  ),
  steps: fc.oneof(fc.dictionary(name, fc.oneof(step, value), { maxKeys: 4 }), value),
}, { requiredKeys: [] });

const tree = manifest.map((data) => stringify(data));

/** A real config with a few slips of typing. */
const slips = fc.record({
  text: fc.constantFrom(...REAL.values()),
  slips: fc.array(
    fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      cut: fc.nat(12),
      put: fc.oneof(
        fc.string({ maxLength: 4 }),
        fc.constantFrom("{", "}", "[", "\n", ": ", "- ", "${", "&a", "*a", "\t", "#", '"', "!!x "),
        fc.constantFrom("\nextends: qoq.yaml\n", "\nmatrix: { group: [32, 64] }\n", "null", "64"),
      ),
    }),
    { minLength: 1, maxLength: 4 },
  ),
}).map(({ text, slips }) =>
  slips.reduce((text, { at, cut, put }) => {
    const start = Math.floor(at * text.length);
    return text.slice(0, start) + put + text.slice(start + cut);
  }, text)
);

const settings = fc.array(
  fc.oneof(
    word,
    fc.tuple(word, value).map(([name, value]) => `${name}=${JSON.stringify(value)}`),
    fc.tuple(word, value).map(([name, value]) => ({ json: `${name}=${JSON.stringify(value)}` })),
    fc.constantFrom<Setting>("m=3", "b=x", { json: "m=[1]" }, "a.path=x", "a.skips.0=1"),
  ),
  { maxLength: 2 },
);

/** Fails unless the problems are sentences with places inside the texts they are about. */
function checkProblems(problems: readonly Problem[], texts: ReadonlyMap<string, string>): void {
  ok(problems.length > 0);
  for (const { source, mark, message } of problems) {
    match(message, /^Cannot /);
    const text = texts.get(source);
    if (mark === undefined) {
      match(source, /^--set/);
      continue;
    }
    ok(text !== undefined, `${source} was not read`);
    // A text that ends in a line break has one more line, where things can be missing.
    const lines = text.split(/\r\n|\n/);
    const line = lines[mark.line - 1];
    ok(line !== undefined && mark.col >= 1, `${source}:${mark.line} of ${lines.length} lines`);
    ok(mark.col <= line.length + 2, `${source}:${mark.line}:${mark.col} is behind ${line.length}`);
  }
}

/** Fails unless a manifest that is shown is the same manifest. */
function checkShown({ manifest, words }: Resolved, registry: Registry): void {
  const steps = manifest.steps.map((step) => ({
    name: step.name,
    rows: rowsOf(step, words.get(step.name)!),
  }));
  const shown = manifestText(steps, { origins: true });
  const again = parseManifest(shown, { path: "shown.yaml", stages: registry });
  deepStrictEqual(content(again), content(manifest));
}

/** The manifest, or undefined where there are problems, which are checked. */
function tryToParse(text: string, options: ManifestOptions): Resolved | undefined {
  const texts = new Map([[options.path, text]]);
  const read = (path: string) => {
    const text = options.read?.(path) ?? "";
    texts.set(path, text);
    return text;
  };
  const start = process.cpuUsage();
  try {
    return resolveManifest(text, { ...options, read });
  } catch (error) {
    ok(error instanceof ManifestError, error instanceof Error ? error.stack : String(error));
    ok(!/\n\s+at /.test(error.message), "a stack is no message");
    deepStrictEqual(error.message.split("\n").length, error.problems.length);
    checkProblems(error.problems, texts);
    return undefined;
  } finally {
    const seconds = process.cpuUsage(start).user / 1e6;
    ok(seconds < SECONDS, `took ${seconds} s: ${text.slice(0, 200)}`);
  }
}

/** What decides keys, whatever the order of steps. */
function content({ steps }: Manifest) {
  const all = steps.map(({ name, stage, params, inputs }) => ({ name, stage, params, inputs }));
  return all.sort((a, b) => a.name < b.name ? -1 : 1);
}

Deno.test("any texts, trees and settings give a manifest or problems with places", () => {
  const text = fc.oneof(
    { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
    { weight: 8, arbitrary: tree },
  );
  const files = fc.record({ "a.yaml": text, "b.yaml": text, "c.yaml": text });
  fc.assert(
    fc.property(files, settings, (files, set) => {
      const read = (path: string) => {
        if (!Object.hasOwn(files, path)) throw new Error("there is no such file");
        return files[path as keyof typeof files];
      };
      tryToParse(files["a.yaml"], { path: "a.yaml", stages, set, read });
    }),
    { seed: 11, numRuns: 1200 },
  );
});

Deno.test("a config with slips of typing gives steps that can be shown, or problems with places", () => {
  let good = 0;
  fc.assert(
    fc.property(slips, (text) => {
      const read = (path: string) => {
        const text = REAL.get(path);
        if (text === undefined) throw new Error("there is no such file");
        return text;
      };
      const resolved = tryToParse(text, { path: "slip.yaml", stages: models, read });
      if (resolved === undefined) return;
      good++;
      checkShown(resolved, models);
    }),
    { seed: 12, numRuns: 250 },
  );
  ok(good > 5, `only ${good} manifests without problems`);
});

Deno.test("any values of params are shown as what they are", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("true", "a: b", "${m}", "$${"),
  );
  const data = fc.record({
    path: text,
    skips: fc.array(text),
    alpha: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(data, ({ path, skips, alpha }) => {
      const set: Setting[] = [
        { json: `a.path=${JSON.stringify(path)}` },
        { json: `q.skips=${JSON.stringify(skips)}` },
        { json: `q.scheme.alpha=${alpha}` },
      ];
      const text = `steps:
  a: { stage: load, with: { path: x } }
  q: { stage: quantize, from: { model: a }, with: { bits: 4, scheme: { symmetric: true } } }
`;
      const resolved = resolveManifest(text, { path: "a.yaml", stages, set });
      const [a, q] = resolved.manifest.steps;
      deepStrictEqual(a?.params, { path });
      // A zero without its sign is the same number in a key.
      const scheme = { symmetric: true, alpha: alpha + 0 };
      deepStrictEqual(q?.params, { bits: 4, skips, scheme });
      checkShown(resolved, stages);
    }),
    { seed: 14, numRuns: 300 },
  );
});

Deno.test("comments, the order of keys and the style of quotes change nothing", () => {
  const styles: fc.Arbitrary<ToStringOptions> = fc.record({
    defaultStringType: fc.constantFrom("QUOTE_DOUBLE", "QUOTE_SINGLE", "PLAIN"),
    defaultKeyType: fc.constantFrom("QUOTE_DOUBLE", "QUOTE_SINGLE", "PLAIN", null),
    collectionStyle: fc.constantFrom("any", "block", "flow"),
    indent: fc.integer({ min: 1, max: 6 }),
  });
  const configs = [...REAL].map(([name, text]) => ({
    name,
    tree: parse(text),
    usual: content(parseManifest(text, { path: CONFIGS + name, stages: models })),
  }));
  const random = fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true }));
  fc.assert(
    fc.property(
      fc.constantFrom(...configs),
      styles,
      random,
      ({ name, tree, usual }, style, draw) => {
        const next = () => draw.next().value ?? 0;
        const text = stringify(shuffled(tree, next), { ...style, lineWidth: 0 });
        const lines = text.split("\n").map((line) => {
          if (next() < 0.8 || line === "") return line;
          return next() < 0.5 ? `${line} # steps: {` : `# - a: [\n${line}`;
        });
        const other = parseManifest(lines.join("\n"), { path: CONFIGS + name, stages: models });
        deepStrictEqual(content(other), usual);
      },
    ),
    { seed: 13, numRuns: 60 },
  );
});

/** The same tree with the keys of every mapping in another order. */
function shuffled(tree: unknown, next: () => number): unknown {
  if (Array.isArray(tree)) return tree.map((item) => shuffled(item, next));
  if (typeof tree !== "object" || tree === null) return tree;
  const drawn = Object.entries(tree)
    .map(([name, value]) => ({ at: next(), entry: [name, shuffled(value, next)] as const }));
  return Object.fromEntries(drawn.sort((a, b) => a.at - b.at).map(({ entry }) => entry));
}

Deno.test("manifests made to be slow are read in bounded time", () => {
  const many = (count: number, line: (index: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join("");
  const path = 'steps: { a: { stage: load, with: { path: "${a}" } } }\n';
  const texts: readonly (readonly [what: string, text: string])[] = [
    ["deep", "[".repeat(100_000)],
    ["deep blocks", many(2000, (i) => `${" ".repeat(i)}a:\n`)],
    ["quotes", '"'.repeat(100_001)],
    ["a long name", `? ${"x".repeat(1_000_000)}\n: 1`],
    ["aliases", `a: &a [x]\n${many(1000, (i) => `b${i}: *a\n`)}`],
    [
      "nearly right names",
      `steps:\n${
        many(1500, (i) => `  step_${i}: { stage: evaluate, from: { model: stepp_${i}x } }\n`)
      }`,
    ],
    [
      "a chain backwards",
      `steps:\n${
        many(1000, (i) => `  s${i}: { stage: quantize, from: { model: s${i + 1} }, with: {} }\n`)
      }`,
    ],
    ["a long axis", `params: { a: 1 }\nmatrix: { a: [${many(20_000, (i) => `${i}, `)}] }\n${path}`],
    [
      "many axes",
      `params: { ${many(60, (i) => `a${i}: 1, `)} }\nmatrix: { ${
        many(60, (i) => `a${i}: [1, 2], `)
      } }\n${path}`,
    ],
    [
      "many exclusions",
      `params: { a: 1 }\nmatrix: { a: [${many(900, (i) => `${i}, `)}], exclude: [${
        many(1000, (i) => `{ a: ${i} }, `)
      }] }\n${path}`,
    ],
    [
      "a full sweep",
      `params: { a: 1 }\nmatrix: { a: [${
        many(1000, (i) => `${i}, `)
      }] }\nsteps:\n  b: { stage: load, with: { path: "x\${a}" } }\n${
        many(10, (i) => `  q${i}: { stage: quantize, from: { model: b }, with: { bits: 4 } }\n`)
      }`,
    ],
  ];
  for (const [, text] of texts) tryToParse(text, { path: "slow.yaml", stages });
});
