import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import { z } from "zod";
import { parseManifest, readManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { nearest } from "../../../pipeline/manifest/nearest.ts";
import { ManifestError } from "../../../pipeline/manifest/problem.ts";
import { manifestSchema } from "../../../pipeline/manifest/schema.ts";
import { problemLines, stages } from "../../support/manifest_stages.ts";
import * as toyStages from "../../support/toy/stages.ts";

const path = "configs/w4.yaml";

function parse(text: string, ...set: string[]): ReturnType<typeof parseManifest> {
  return parseManifest(text, { path, stages, set });
}

function problemsOf(text: string, ...set: string[]): string[] {
  return problemLines(() => parse(text, ...set));
}

const GOOD = `
params: { model: configs/embedded, windows: 16 }
steps:
  quality:
    stage: evaluate
    from: { model: source, tokens: text }
  text:
    stage: tokenize
    from: { model: source }
    with: { text: stories, windows: "\${windows}" }
  source:
    stage: load
    with:
      path: \${model}
`;

Deno.test("`parseManifest()` orders steps so that inputs come first and keeps the file's order else", () => {
  const { steps } = parse(`
steps:
  c: { stage: evaluate, from: { model: b, tokens: t } }
  b: { stage: quantize, from: { model: a }, with: { bits: 4 } }
  other: { stage: load, with: { path: y } }
  t: { stage: tokenize, from: { model: a }, with: { text: x } }
  a: { stage: load, with: { path: x } }
`);
  deepStrictEqual(steps.map(({ name }) => name), ["other", "a", "b", "t", "c"]);
});

Deno.test("`parseManifest()` fills in defaults, params and places", () => {
  deepStrictEqual(parse(GOOD), {
    path,
    params: { model: "configs/embedded", windows: 16 },
    sources: [{ path, sha256: createHash("sha256").update(GOOD).digest("hex") }],
    steps: [
      {
        name: "source",
        stage: "load",
        params: { path: "configs/embedded" },
        inputs: {},
        source: path,
        line: 11,
      },
      {
        name: "text",
        stage: "tokenize",
        params: { text: "stories", context: 512, windows: 16 },
        inputs: { model: "source" },
        source: path,
        line: 7,
      },
      {
        name: "quality",
        stage: "evaluate",
        params: {},
        inputs: { model: "source", tokens: "text" },
        source: path,
        line: 4,
      },
    ],
  });
});

Deno.test("`parseManifest()` gives the same steps when comments and the order of keys change", () => {
  const other = parse(`
# another order
steps:
  text: # and a comment
    with: { windows: "\${ windows }", text: stories }
    from: { model: source }
    stage: tokenize
  source: { with: { path: "\${model}" }, stage: load }
  quality: { from: { tokens: text, model: source }, stage: evaluate }
params: { windows: 16, model: configs/embedded }
`);
  const stripped = (manifest: typeof other) =>
    manifest.steps.map(({ name, stage, params, inputs }) => ({ name, stage, params, inputs }))
      .sort((a, b) => a.name < b.name ? -1 : 1);
  deepStrictEqual(stripped(other), stripped(parse(GOOD)));
});

Deno.test("`parseManifest()` reports every problem at once, each with its place", () => {
  deepStrictEqual(
    problemsOf(
      `params:
  model: configs/embedded
  unused: 3
steps:
  source: { stage: load, with: { path: "\${modle}" } }
  text:
    stage: tokenise
    from: { model: source }
  w4:
    stage: quantize
    from: { model: source, stats: txt, gain: source }
    with: { bits: 5, grup: 3, scheme: { symetric: true } }
  quality:
    stage: evaluate
    form: {}
    from: { model: [source, w4] }
  other: { stage: evaluate, from: { tokens: source } }
  left: { stage: quantize, from: { model: right }, with: { bits: 4 } }
  right: { stage: quantize, from: { model: left } }
`,
      "modl=3",
      "w5.bits=8",
      "nonsense",
    ),
    [
      `${path}:2:3: Cannot find a use of param "model": expected \${model} in the "with" of a step`,
      `${path}:3:3: Cannot find a use of param "unused": expected \${unused} in the "with" of a step`,
      `${path}:5:40: Cannot find param "modle": did you mean "model"?`,
      `${path}:7:12: Cannot find stage "tokenise": did you mean "tokenize"?`,
      `${path}:11:35: Cannot feed "stats" from step "txt": did you mean "text"?`,
      `${path}:11:40: Cannot find input "gain" of stage "quantize": expected one of model, stats`,
      `${path}:12:19: Cannot use 5 for "bits" of step "w4": expected one of 2|3|4|8`,
      `${path}:12:22: Cannot find "grup" in the parameters of stage "quantize": did you mean "group"?`,
      `${path}:12:31: Cannot run step "w4" without "scheme.symmetric": expected boolean`,
      `${path}:12:41: Cannot find "scheme.symetric" in the parameters of stage "quantize": did you mean "symmetric"?`,
      `${path}:13:3: Cannot run step "quality" without input "tokens": expected a step that makes tokens`,
      `${path}:15:5: Cannot use "form" in step "quality": did you mean "from"?`,
      `${path}:16:13: Cannot feed "model" of step "quality" from 2 steps: expected one step`,
      `${path}:17:3: Cannot run step "other" without input "model": expected a step that makes model, such as "source"`,
      `${path}:17:45: Cannot feed "tokens" of step "other" from step "source": it makes model, expected tokens`,
      `${path}:18:43: Cannot order the steps: "left" needs "right" needs "left"`,
      `${path}:19:3: Cannot run step "right" without "bits": expected one of 2|3|4|8`,
      '--set nonsense: Cannot set "nonsense": expected name=value or step.key=value',
      '--set modl=3: Cannot find param "modl": did you mean "model"?',
      '--set w5.bits=8: Cannot find step "w5": did you mean "w4"?',
    ],
  );
});

Deno.test("`parseManifest()` says where YAML itself is broken", () => {
  const cases: [text: string, problem: RegExp][] = [
    ["steps: [", /^configs\/w4\.yaml:1:9: Cannot read YAML: /],
    ["a: 1\na: 2", /^configs\/w4\.yaml:2:1: Cannot use a name twice in one mapping$/],
    ["steps: &x 1\nparams: *x", /:2:9: Cannot use the YAML alias "\*x"/],
    ["steps: !secret 1", /:1:8: Cannot read YAML: Unresolved tag: !secret/],
    ["a: 1\n---\nb: 2", /:2:1: Cannot read YAML: Source contains multiple documents/],
    ["steps: { a: ${b} }", /expected quotes: "\$\{…\}" inside \{ \}$/],
    ["steps: { a: .nan }", /:1:13: Cannot use \.nan: expected a finite number/],
    ["", /:1:1: Cannot find a step: expected "steps" with at least one$/],
    ["- a", /:1:1: Cannot read the manifest: it is a list, expected a mapping/],
    ["steps: 5", /:1:8: Cannot read "steps": it is a number, expected a mapping/],
    ["steps: { a: 5 }", /:1:13: Cannot read step "a": it is a number/],
    ["steps: { a.b: { stage: load, with: { path: x } } }", /:1:10: Cannot name a step "a\.b"/],
    ["steps: { a: {} }", /:1:10: Cannot run step "a" without "stage": expected one of load, /],
    ["steps: { a: { stage: load, with: 3 } }", /: "with" is a number, expected object/],
    ["[".repeat(20_000), /Cannot read YAML: /],
  ];
  for (const [text, problem] of cases) {
    const found = problemsOf(text);
    ok(found.some((line) => problem.test(line)), `${text.slice(0, 60)} gave ${found.join("\n")}`);
  }
});

Deno.test("`parseManifest()` keeps the type of a whole param and writes others into the text", () => {
  const text = (window: string) => `
params: { size: 128, name: tale }
steps:
  m: { stage: load, with: { path: "\${name}-\${size} $\${kept}" } }
  t: { stage: tokenize, from: { model: m }, with: { text: "\${name}", context: ${window} } }
`;
  const [model, tokens] = parse(text('"${size}"')).steps;
  deepStrictEqual(model?.params, { path: "tale-128 ${kept}" });
  deepStrictEqual(tokens?.params, { text: "tale", context: 128, windows: "all" });
  const line = text('"${size}0"').split("\n")[4] ?? "";
  deepStrictEqual(problemsOf(text('"${size}0"')), [
    `${path}:5:${
      line.indexOf('"${size}0"') + 1
    }: Cannot use "1280" for "context" of step "t": expected number, received string`,
  ]);
});

Deno.test("`parseManifest()` takes params and step parameters from `--set`", () => {
  const paramsOf = (...set: string[]) => parse(GOOD, ...set).steps[1]?.params;
  deepStrictEqual(paramsOf("windows=8"), { text: "stories", context: 512, windows: 8 });
  deepStrictEqual(paramsOf("windows=all"), { text: "stories", context: 512, windows: "all" });
  deepStrictEqual(paramsOf("windows=8", "windows=9"), {
    text: "stories",
    context: 512,
    windows: 9,
  });
  deepStrictEqual(paramsOf("text.context=64"), { text: "stories", context: 64, windows: 16 });
  deepStrictEqual(paramsOf("text.text=a=b: [c"), { text: "a=b: [c", context: 512, windows: 16 });
  deepStrictEqual(parse(GOOD, "model=012").steps[0]?.params, { path: "012" });
});

Deno.test("`parseManifest()` gives a text param the number its stage wants", () => {
  const text = GOOD.replace("windows: 16", "windows: all");
  deepStrictEqual(
    parse(text, "windows=8").steps[1]?.params,
    { text: "stories", context: 512, windows: 8 },
  );
});

Deno.test("`parseManifest()` reports a wrong `--set` value where the user wrote it", () => {
  deepStrictEqual(problemsOf(GOOD, "windows=al", "text.context=1", "text.contxt=5").sort(), [
    '--set text.context=1: Cannot use 1 for "context" of step "text": Too small: expected number to be >=2',
    '--set text.contxt=5: Cannot find "contxt" in the parameters of stage "tokenize": did you mean "context"?',
    '--set windows=al: Cannot use "al" for "windows" of step "text": expected number or "all"',
  ]);
  const inText = GOOD.replace("text: stories", 'text: "part-${windows}"');
  deepStrictEqual(problemsOf(inText, "windows=x").slice(0, 1), [
    '--set windows=x: Cannot set param "windows": "x" is text, expected a number',
  ]);
});

Deno.test("`parseManifest()` wires lists and leaves optional inputs out", () => {
  const text = (reports: string) => `
steps:
  m: { stage: load, with: { path: x } }
  t: { stage: tokenize, from: { model: m }, with: { text: x } }
  a: { stage: evaluate, from: { model: m, tokens: t } }
  b: { stage: evaluate, from: { model: m, tokens: t } }
  all: { stage: compare, from: { reports: ${reports} } }
`;
  const inputs = (reports: string) => parse(text(reports)).steps.at(-1)?.inputs;
  deepStrictEqual(inputs("[b, a]"), { reports: ["b", "a"] });
  deepStrictEqual(inputs("a"), { reports: ["a"] });
  deepStrictEqual(problemsOf(text("[]")), [
    `${path}:7:34: Cannot feed "reports" of step "all" from 0 steps: expected at least one step`,
  ]);
  const line = text("[a, m]").split("\n")[6] ?? "";
  deepStrictEqual(problemsOf(text("[a, m]")), [
    `${path}:7:${
      line.indexOf("m]") + 1
    }: Cannot feed "reports" of step "all" from step "m": it makes model, expected report`,
  ]);
});

Deno.test("`readManifest()` names a file that is not there", async () => {
  await rejects(readManifest("no/such.yaml", { stages }), (error: Error) => {
    ok(error instanceof ManifestError);
    strictEqual(error.message, "no/such.yaml: Cannot read the manifest: there is no such file");
    return true;
  });
});

Deno.test("`nearest()` finds slips of typing and nothing far away", () => {
  const known = ["load", "tokenize", "quantize", "evaluate"];
  strictEqual(nearest("quantise", known), "quantize");
  strictEqual(nearest("laod", known), "load");
  strictEqual(nearest("EVALUATE", known), "evaluate");
  strictEqual(nearest("serve", known), undefined);
  strictEqual(nearest("", known), undefined);
});

Deno.test("`manifestSchema()` takes what `parseManifest()` takes and refuses unknown words", () => {
  const schema = z.fromJSONSchema(manifestSchema(stages) as z.core.JSONSchema.JSONSchema);
  const steps = {
    source: { stage: "load", with: { path: "${model}" } },
    text: {
      stage: "tokenize",
      from: { model: "source" },
      with: { text: "x", windows: "${windows}", context: "${context}" },
    },
  };
  schema.parse({ params: { model: "x", windows: 3 }, steps });
  const refused = [
    { steps: { a: { stage: "lod", with: { path: "x" } } } },
    { steps: { a: { stage: "load" } } },
    { steps: { a: { stage: "load", with: { path: "x", other: 1 } } } },
    { steps: { a: { ...steps.text, with: { text: "x", windows: "some" } } } },
    { steps: { a: { ...steps.text, from: {} } } },
    { steps, extra: 1 },
    {},
  ];
  for (const manifest of refused) {
    throws(() => schema.parse(manifest), `${JSON.stringify(manifest)} was taken`);
  }
});

Deno.test("a text that its params make longer than any is refused, and is not made", () => {
  const long = "x".repeat(1 << 20);
  for (
    const head of [`params: { a: "${long}" }`, `params: { a: b }\nmatrix: { a: ["${long}"] }`]
  ) {
    const text = `${head}\nsteps:\n  s: { stage: read, with: { path: "${
      "${a}".repeat(4096)
    }" } }\n`;
    throws(
      () => parseManifest(text, { path: "m.yaml", stages: toyStages }),
      /^ManifestError: m\.yaml:\d+:35: Cannot put params into this text: it becomes longer than 1048576 characters$/,
    );
  }
});

Deno.test("a manifest may say how far artifacts are looked at", () => {
  const steps = "steps:\n  s: { stage: constant, with: { value: 1 } }\n";
  const read = (text: string) => parseManifest(text, { path: "m.yaml", stages: toyStages }).verify;
  strictEqual(read(steps), undefined);
  strictEqual(read(`verify: full\n${steps}`), "full");
  const next = (text: string) => parseManifest(text, { path: "in/m.yaml", stages: toyStages }).next;
  strictEqual(next(`next: n.yaml\n${steps}`), "in/n.yaml");
  strictEqual(next(steps), undefined);
  throws(
    () => next(`next: [n.yaml]\n${steps}`),
    /^ManifestError: in\/m\.yaml:1:7: Cannot go on with a list: expected the name of a manifest$/,
  );
  throws(
    () => read(`verify: some\n${steps}`),
    /^ManifestError: m\.yaml:1:9: Cannot verify artifacts by "some": expected one of stat, size, full$/,
  );
});
