import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { canonicalJson } from "../../../pipeline/store/key.ts";
import type { Manifest } from "../../../pipeline/manifest/manifest.ts";
import { parseManifest, readManifest } from "../../../pipeline/manifest/read_manifest.ts";
import type { Registry } from "../../../pipeline/stage.ts";
import * as models from "../../../stages/mod.ts";
import { callProgram } from "../../support/cli_call.ts";
import { stages } from "../../support/manifest_stages.ts";

const CONFIGS = fileURLToPath(new URL("../../../configs/", import.meta.url));

function call(stages: Registry, ...args: string[]) {
  return callProgram({ stages }, ...args);
}

async function withFiles(
  files: Readonly<Record<string, string>>,
  use: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${directory}/${name}`, text);
    }
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** What decides keys, in the order in which steps run. */
function content({ steps }: Manifest) {
  // A param that is left out and one without a value give the same key.
  const decides = (params: unknown) => JSON.parse(canonicalJson(params));
  return steps.map(({ name, stage, params, inputs }) => ({
    name,
    stage,
    params: decides(params),
    inputs,
  }));
}

const FILES = {
  "base.yaml": `params: { model: m, bits: 4 }
steps:
  source: { stage: load, with: { path: "\${model}" } }
  w4:
    stage: quantize
    from: { model: source }
    with:
      bits: "\${bits}"
      skips: [a, "b c"]
      scheme: { symmetric: true }
  text: { stage: tokenize, from: { model: source }, with: { text: "$\${kept}: 012" } }
`,
  "a.yaml": `extends: base.yaml
params: { group: 128 }
matrix: { group: [64, 32] }
steps:
  w4: { with: { group: "\${group}" } }
  quality: { stage: evaluate, from: { model: w4, tokens: text } }
  all: { stage: compare, from: { reports: quality }, with: { labels: [W4] } }
`,
};

Deno.test("`config show --origin` says of every value where it comes from", () =>
  withFiles(FILES, async (directory) => {
    const { status, out, errors } = await call(
      stages,
      ...["config", "show", `${directory}/a.yaml`, "--origin"],
      ...["--set", "bits=8", "--set-json", 'w4.skips=["x"]', "--set", "w4.scheme.alpha=0.1"],
    );
    deepStrictEqual([status, errors], [0, ""]);
    const lines = out.replaceAll(`${directory}/`, "").replaceAll(/ +#/g, " #").split("\n");
    const text = [
      "  text:",
      "    stage: tokenize # base.yaml:11",
      "    from:",
      "      model: source # base.yaml:11",
      "    with:",
      '      text: "$${kept}: 012" # base.yaml:11',
      "      context: 512 # default of stage tokenize",
      "      windows: all # default of stage tokenize",
    ];
    deepStrictEqual(lines, [
      "# a.yaml over base.yaml",
      "# --set bits=8",
      '# --set-json w4.skips=["x"]',
      "# --set w4.scheme.alpha=0.1",
      "steps:",
      "  source:",
      "    stage: load # base.yaml:3",
      "    with:",
      "      path: m # base.yaml:1 param model",
      ...[64, 32].flatMap((group) => [
        `  "w4[group=${group}]":`,
        "    stage: quantize # base.yaml:5",
        "    from:",
        "      model: source # base.yaml:6",
        "    with:",
        "      bits: 8 # --set bits=8",
        `      group: ${group} # a.yaml:3 param group`,
        '      skips: [x] # --set-json w4.skips=["x"]',
        "      scheme:",
        "        symmetric: true # base.yaml:10",
        "        alpha: 0.1 # --set w4.scheme.alpha=0.1",
        ...group === 64 ? text : [],
        `  "quality[group=${group}]":`,
        "    stage: evaluate # a.yaml:6",
        "    from:",
        `      model: "w4[group=${group}]" # a.yaml:6`,
        "      tokens: text # a.yaml:6",
      ]),
      "  all:",
      "    stage: compare # a.yaml:7",
      "    from:",
      '      reports: ["quality[group=64]", "quality[group=32]"] # a.yaml:7',
      "    with:",
      "      title: All # default of stage compare",
      '      labels: ["W4 group=64", "W4 group=32"] # a.yaml:7',
      "",
    ]);
  }));

Deno.test("`config show --json` is one line with parameters, files and origins", () =>
  withFiles(FILES, async (directory) => {
    const path = `${directory}/a.yaml`;
    const { out } = await call(stages, "config", "show", path, "--json", "--origin");
    strictEqual(out.trimEnd().split("\n").length, 1);
    const { type, manifest, sources, params, steps } = JSON.parse(out);
    deepStrictEqual([type, manifest], ["config", path]);
    deepStrictEqual(sources, (await readManifest(path, { stages })).sources);
    deepStrictEqual(params, { model: "m", bits: 4, group: [64, 32] });
    deepStrictEqual(steps[0], {
      name: "source",
      stage: "load",
      inputs: {},
      params: { path: "m" },
      origins: {
        stage: `${directory}/base.yaml:3`,
        "with.path": `${directory}/base.yaml:1 param model`,
      },
    });
  }));

Deno.test("what `config show` prints is a manifest with the same steps, for every config and under settings", async () => {
  const configs = [...Deno.readDirSync(CONFIGS)].map(({ name }) => name)
    .filter((name) => name.endsWith(".yaml"));
  ok(configs.length > 5);
  for (const name of configs) {
    const path = `${CONFIGS}${name}`;
    const { params } = await readManifest(path, { stages: models });
    const windows = "windows" in params ? ["windows=3"] : [];
    for (const set of [[], ["source.dtype=float32", ...windows]]) {
      if (set.length > 0 && name === "fp16.yaml") continue;
      const flags = set.flatMap((one) => ["--set", one]);
      const { out, errors } = await call(models, "config", "show", path, "--origin", ...flags);
      strictEqual(errors, "");
      const again = parseManifest(out, { path: "shown.yaml", stages: models });
      deepStrictEqual(content(again), content(await readManifest(path, { stages: models, set })));
    }
  }
});

Deno.test("a written out sweep can be changed, set and swept again", () =>
  withFiles(FILES, async (directory) => {
    const { out } = await call(stages, "config", "show", `${directory}/a.yaml`);
    await Deno.writeTextFile(`${directory}/shown.yaml`, out);
    const again = `extends: shown.yaml
params: { model: none }
matrix: { model: [x, y] }
steps: { source: { with: { path: "\${model}" } } }
`;
    await Deno.writeTextFile(`${directory}/again.yaml`, again);
    const set = ["w4[group=64].bits=3"];
    const { steps } = await readManifest(`${directory}/again.yaml`, { stages, set });
    const bits = steps.filter(({ name }) => name.startsWith("w4"))
      .map(({ name, params }) => [name, (params as { readonly bits: number }).bits]);
    deepStrictEqual(bits, [
      ["w4[group=64,model=x]", 3],
      ["w4[group=32,model=x]", 4],
      ["w4[group=64,model=y]", 3],
      ["w4[group=32,model=y]", 4],
    ]);
  }));

Deno.test("`--set-json` sets lists and mappings, the last setting wins, and errors say what was typed", () =>
  withFiles(FILES, async (directory) => {
    const path = `${directory}/base.yaml`;
    const w4 = async (...flags: string[]) => {
      const { out, errors } = await call(stages, "config", "show", path, "--json", ...flags);
      strictEqual(errors, "");
      return JSON.parse(out).steps[1].params;
    };
    const scheme = { symmetric: false, alpha: 0.25 };
    deepStrictEqual(
      await w4("--set-json", `w4.scheme=${JSON.stringify(scheme)}`, "--set", "w4.skips.0=q"),
      { bits: 4, skips: ["q", "b c"], scheme },
    );
    deepStrictEqual(
      (await w4("--set-json", 'w4.skips=["${bits}"]', "--set", "bits=2")).skips,
      ["${bits}"],
    );
    deepStrictEqual((await w4("--set-json", "bits=2", "--set", "bits=3")).bits, 3);
    deepStrictEqual((await w4("--set", "bits=3", "--set-json", "bits=2")).bits, 2);
    const cases: [flags: string[], error: string][] = [
      [["--set-json", "w4.skips=[1"], "--set-json w4.skips=[1: Cannot read JSON: "],
      [
        ["--set-json", "w4.bits=[4]"],
        '--set-json w4.bits=[4]: Cannot use a list for "bits" of step "w4": expected one of 2|3|4|8',
      ],
      [
        ["--set-json", "bits=[4]"],
        '--set-json bits=[4]: Cannot use a list for "bits" of step "w4": expected one of 2|3|4|8',
      ],
      [
        ["--set-json", 'w4.skips=["x", 5]'],
        '--set-json w4.skips=["x", 5]: Cannot use 5 for "skips.1" of step "w4": expected string',
      ],
      [
        ["--set-json", 'w4.scheme={"symetric": true}'],
        '--set-json w4.scheme={"symetric": true}: Cannot run step "w4" without "scheme.symmetric": expected boolean',
      ],
      [
        ["--set-json", "w4=1e999"],
        "Cannot read JSON: a number is too large, expected a finite one",
      ],
      [
        ["--set-json", 'w4.scheme={"__proto__": 1}'],
        'Cannot read JSON: "__proto__" is no name, expected another text',
      ],
      [["--set-json", "w5.bits=1"], 'w5.bits=1: Cannot find step "w5": did you mean "w4"?'],
      [["--set-json", "nothing"], 'Cannot set "nothing": expected name=value or step.key=value'],
      [
        ["--set", "w4.skips.2=x"],
        '--set w4.skips.2=x: Cannot find item "2" of "skips" of step "w4": expected one of 0 to 1',
      ],
    ];
    for (const [flags, error] of cases) {
      const { status, out, errors } = await call(stages, "config", "show", path, ...flags);
      deepStrictEqual([status, out], [1, ""]);
      ok(errors.includes(error), `${flags.join(" ")} gave ${errors}`);
      ok(errors.trim().split("\n").every((line) => line.startsWith("--set")), errors);
    }
  }));

Deno.test("configs/qoq-sweep.yaml shares with configs/qoq.yaml all that does not depend on its exponents", async () => {
  const read = async (name: string) =>
    new Map(
      content(await readManifest(CONFIGS + name, { stages: models })).map((
        step,
      ) => [step.name, step]),
    );
  const [qoq, sweep] = [await read("qoq.yaml"), await read("qoq-sweep.yaml")];
  const common = ["source", "text", "fp16", "calibration", "rotated", "stats", "reordered"];
  deepStrictEqual(common.map((name) => sweep.get(name)), common.map((name) => qoq.get(name)));
  const own = [...sweep.keys()].filter((name) => !common.includes(name));
  const variants = ["0.1,beta=0.9", "0.2,beta=0.8", "0.3,beta=0.7", "0.5,beta=0.5"];
  deepStrictEqual(
    own,
    variants.flatMap((one) =>
      ["smoothed", "w4a8", "w4a8kv4", "qoq"].map((name) => `${name}[alpha=${one}]`)
    ).concat("report"),
  );
  // The exponents of qoq.yaml are among them, so that its artifacts serve here too.
  for (const name of ["smoothed", "w4a8", "w4a8kv4", "qoq"]) {
    deepStrictEqual(sweep.get(`${name}[alpha=0.3,beta=0.7]`)?.params, qoq.get(name)?.params);
  }
});

Deno.test("`config` says what it can do", async () => {
  const { status, errors } = await call(stages, "config", "shwo", "a.yaml");
  strictEqual(status, 2);
  match(errors, /^Cannot shwo a configuration: did you mean "show"\?\n/);
});
