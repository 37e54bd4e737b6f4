import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { Manifest } from "../../../../pipeline/manifest/manifest.ts";
import { parseManifest, readManifest } from "../../../../pipeline/manifest/read_manifest.ts";
import { plan } from "../../../../pipeline/plan/plan.ts";
import { Store } from "../../../../pipeline/store/store.ts";
import { modelCommands } from "../../../../stages/commands/mod.ts";
import * as stages from "../../../../stages/mod.ts";
import { callProgram } from "../../../support/cli_call.ts";

const CONFIGS = fileURLToPath(new URL("../../../../configs/", import.meta.url));
const FOLDER = await Deno.makeTempDir({ prefix: "quattuor-imports-" });
globalThis.addEventListener("unload", () => Deno.removeSync(FOLDER, { recursive: true }));

/** What is a model, a text or a size, made equal on both sides. */
const SAME = [
  "model=embedded",
  "text=stories:test",
  "context=512",
  "windows=16",
  "calibration=stories:calibration",
  "calibration_bytes=100000",
  "samples=32",
  "sample_tokens=512",
];

type Recipe = Readonly<Record<string, unknown>>;

/** What lies under the shipped recipes: examples/llm/configs/__default__.yaml of DeepCompressor at 69f3473. */
const range = {
  objective: "OutputsError",
  degree: 2,
  element_batch_size: 64,
  element_size: 512,
  sample_batch_size: -1,
  sample_size: -1,
  pre_reshape: true,
  outputs_device: "cpu",
  ratio: 1,
  max_shrink: 0.2,
  max_expand: 1,
  num_grids: 80,
  skips: [],
};
const block = { dtype: null, zero_point: null, group_shapes: [[1, -1]], scale_dtypes: [null] };
const inner = { strategy: "GridSearch", granularity: "ChannelGroup" };
const activations = {
  ...block,
  static: false,
  enable_calib_range: false,
  calib_range: { ...range, ...inner },
  skips: [],
};
const smoothing = {
  degree: 2,
  sample_batch_size: -1,
  sample_size: -1,
  outputs_device: "cpu",
  spans: [["AbsMax", "AbsMax"]],
  num_grids: 20,
};
const DEFAULTS: Recipe = {
  seed: 12345,
  skip_eval: false,
  load_from: "",
  save_model: false,
  copy_on_save: false,
  cache: { root: "runs", path: { rotation: "", reorder: "", smooth: "", wgts: "", acts: "" } },
  output: { root: "runs", dirname: "default", job: "run" },
  model: { name: "llama-2-7b", path: null, root: "", local_path: null, dtype: "torch.float16" },
  eval: {
    num_gpus: 8,
    batch_size: 8,
    tasks: ["wikitext"],
    max_seq_length: -4096,
    evaluators: ["gptq"],
  },
  quant: {
    calib: {
      data: "pileval",
      path: "mit-han-lab/pile-val-backup",
      num_samples: 128,
      seq_length: 1024,
      min_seq_length: 0,
      max_seq_length: 0,
    },
    develop_dtype: "torch.float32",
    wgts: {
      ...block,
      intermediate_dtypes: [],
      intermediate_levels: [],
      needs_dequant_saturation: false,
      enable_kernel_gptq: false,
      kernel_gptq: {
        damp_percentage: 0.01,
        block_size: 128,
        num_inv_tries: 250,
        hessian_block_size: 512,
      },
      enable_calib_range: true,
      calib_range: { ...range, strategy: "Manual", granularity: "Group" },
      skips: [],
    },
    ipts: activations,
    opts: activations,
    enable_rotation: false,
    rotation: { random: false, transforms: [] },
    enable_reorder: false,
    reorder: {
      strategy: "Manual",
      degree: 2,
      sample_batch_size: -1,
      sample_size: -1,
      outputs_device: "cpu",
      channel_metric: "InputsAbsMax",
      channel_index: "Sequential",
      dynamic: false,
      skips: ["residual"],
    },
    enable_smooth: false,
    smooth: {
      enable_proj: false,
      proj: {
        ...smoothing,
        objective: "OutputsError",
        strategy: "GridSearch",
        granularity: "Layer",
        element_batch_size: -1,
        element_size: -1,
        pre_reshape: true,
        alpha: -3,
        beta: -3,
        skips: [],
      },
      enable_attn: false,
      attn: { ...smoothing, strategy: "Manual", alpha: 0.5, beta: 0 },
    },
  },
};

const half = ["torch.float16"];
const grouped = { dtype: "uint4", zero_point: "PostScale", group_shapes: [[1, 128]] };
const rows = { group_shapes: [[1, -1]] };
const input8 = { dtype: "sint8", ...rows, scale_dtypes: half };
const cache4 = { ...grouped, scale_dtypes: half, skips: ["attn_q"] };
const rotated = { enable_rotation: true, rotation: { transforms: ["out_proj"] } };
const searched = {
  enable_calib_range: true,
  calib_range: { strategy: "GridSearch", granularity: "Group", max_shrink: 0.2, num_grids: 80 },
};
const allButDown = ["qkv_proj", "up_proj", "out_proj"];
const manual = (alpha: number, beta: number, skips: readonly string[]) => ({
  enable_proj: true,
  proj: { strategy: "Manual", alpha, beta, skips },
});
const searchedAttention = {
  enable_attn: true,
  attn: { strategy: "GridSearch", alpha: 0.5, beta: -2 },
};
const smoothquant = {
  calib: { seq_length: 512 },
  wgts: { dtype: "sint8", ...rows },
  ipts: { dtype: "sint8", ...rows },
  enable_smooth: true,
  smooth: manual(0.85, 0.15, ["out_proj", "down_proj"]),
};

/** The shipped recipes: the table of section 1.10. */
const RECIPES: Readonly<Record<string, Recipe>> = {
  awq: {
    calib: { seq_length: 512, max_seq_length: 512 },
    wgts: {
      ...grouped,
      scale_dtypes: half,
      enable_calib_range: true,
      calib_range: {
        objective: "ProductsError",
        strategy: "GridSearch",
        granularity: "Group",
        max_shrink: 0.8,
        num_grids: 20,
        skips: ["qkv_proj"],
      },
    },
    enable_smooth: true,
    smooth: { enable_proj: true, proj: { strategy: "GridSearch", alpha: 0.5, beta: 0 } },
  },
  gptq: {
    calib: { seq_length: 2048, min_seq_length: 2048 },
    wgts: {
      ...grouped,
      scale_dtypes: half,
      enable_kernel_gptq: true,
      enable_calib_range: false,
      calib_range: { objective: "TensorError", strategy: "GridSearch", degree: 2.4 },
    },
  },
  "qoq-gchn": {
    wgts: {
      ...grouped,
      ...rows,
      scale_dtypes: half,
      enable_kernel_gptq: true,
      ...searched,
    },
    ipts: input8,
    opts: cache4,
    ...rotated,
    enable_smooth: true,
    smooth: { ...manual(0.1, 0.9, allButDown), ...searchedAttention },
  },
  "qoq-g128": {
    wgts: {
      ...grouped,
      group_shapes: [[1, -1], [1, 128]],
      scale_dtypes: ["torch.float16", "sint8"],
      intermediate_dtypes: ["sint8"],
      intermediate_levels: [0],
      enable_kernel_gptq: true,
    },
    ipts: input8,
    opts: cache4,
    ...rotated,
    enable_reorder: true,
    reorder: { skips: ["residual"] },
    enable_smooth: true,
    smooth: {
      ...manual(0.3, 0.7, allButDown),
      enable_attn: true,
      attn: { strategy: "Manual", alpha: 0.5, beta: 0 },
    },
  },
  ooo: {
    wgts: { dtype: "sint8", ...rows, scale_dtypes: half, enable_kernel_gptq: true, ...searched },
    ipts: input8,
    opts: {
      dtype: "sint8",
      static: true,
      group_shapes: [[-1, -1]],
      scale_dtypes: half,
      enable_calib_range: true,
      calib_range: { strategy: "Manual", granularity: "Layer" },
    },
    ...rotated,
    enable_smooth: true,
    smooth: { ...manual(0.1, 0.9, allButDown), ...searchedAttention },
  },
  "smoothquant-dynamic": { ...smoothquant, opts: { dtype: "sint8", ...rows } },
  "smoothquant-static": {
    ...smoothquant,
    opts: {
      dtype: "sint8",
      static: true,
      group_shapes: [[-1, -1]],
      enable_calib_range: true,
      calib_range: { strategy: "Manual", granularity: "Layer" },
    },
  },
};

for (const [name, quant] of Object.entries(RECIPES)) {
  Deno.test(`import-config makes of ${name} what configs/ has of it`, async () => {
    const path = await project({ "__default__": DEFAULTS, [name]: { quant } });
    const made = await imported(`${path}/${name}.yaml`);
    const config = name === "qoq-g128" ? "qoq" : name;
    const ours = await readManifest(`${CONFIGS}${config}.yaml`, { stages, set: SAME });
    assert.deepEqual(stepsOf(parse(made, SAME)), stepsOf(ours).map(asInTheRecipe(config)));
    assert.equal(parse(made).params.samples, 128);
    await planned(made);
  });
}

Deno.test("import-config lays default files of the folders above under a recipe, the outer first", async () => {
  const path = await project({
    "__default__": { quant: { wgts: { dtype: "uint4", zero_point: "PreScale" } } },
    "inner/__default__": {
      quant: { wgts: { zero_point: "PostScale", group_shapes: [[1, 64], [1, 32]] } },
    },
    "inner/recipe": { quant: { wgts: { group_shapes: [[1, 64]] } } },
  });
  assert.deepEqual(
    weightsOf(await imported(`${path}/inner/recipe.yaml`)),
    { bits: 4, zero: "post_scale", group: 64, levels: 1 },
  );
});

Deno.test("import-config names the files of a recipe elsewhere by their whole paths", async () => {
  const path = await project({ "__default__": DEFAULTS, recipe: { quant: {} } });
  const { out } = await call(`${path}/recipe.yaml`, "--json");
  assert.deepEqual(JSON.parse(out).files, [`${path}/__default__.yaml`, `${path}/recipe.yaml`]);
});

Deno.test("import-config takes several recipes, and a file that lists some, in DeepCompressor's order", async () => {
  const path = await project({
    one: { quant: { wgts: { dtype: "sint8" } } },
    two: { quant: { wgts: { dtype: "sint4" } } },
  });
  const bits = async (...words: string[]) => weightsOf(await imported(...words))?.bits;
  assert.equal(await bits(`${path}/one.yaml`, `${path}/two.yaml`), 4);
  assert.equal(await bits(`${path}/two.yaml`, `${path}/one.yaml`), 8);
  await Deno.writeTextFile(`${path}/list.txt`, `${path}/two.yaml\n`);
  assert.equal(await bits(`${path}/one.yaml`, `${path}/list.txt`), 8);
});

Deno.test("import-config warns of every key that DeepCompressor does not know, with its place", async () => {
  const path = await written(
    "unknown.yaml",
    `quant:
  wgts:
    dtype: sint8
    grups: 3
  enable_smoothing: true
  smooth:
    proj: { alfa: 1 }
`,
  );
  const { status, errors, out } = await call(path);
  assert.equal(status, 0);
  const told = errors.trimEnd().split("\n").map((line) =>
    /^(.*?): Cannot use "(.*?)"/.exec(line)!.slice(1)
  );
  assert.deepEqual(told.sort(), [
    [`${path}:4:5`, "quant.wgts.grups"],
    [`${path}:5:3`, "quant.enable_smoothing"],
    [`${path}:7:13`, "quant.smooth.proj.alfa"],
  ]);
  assert.equal(stepsOf(parse(out)).some(({ stage }) => stage === "smooth"), false);
});

Deno.test("import-config tells everything it cannot follow at once, with places, and makes nothing", async () => {
  const path = await written(
    "refused.yaml",
    `quant:
  wgts:
    dtype: sfp4_e2m1_all
    group_shapes: [[4, 32]]
    enable_calib_range: true
    calib_range: { strategy: GridSearch, degree: 2.4 }
  ipts: { dtype: sint8, skips: [down_proj] }
  opts: { dtype: uint4 }
  enable_rotation: true
  rotation: { path: some.pt }
  enable_reorder: true
  reorder: { dynamic: true }
`,
  );
  const out = `${path}.out`;
  const { status, errors } = await call(path, "--out", out);
  assert.equal(status, 1);
  const told = errors.trimEnd().split("\n").map((line) => line.slice(path.length + 1));
  for (
    const start of [
      "3:5: Cannot follow quant.wgts.dtype: the type is sfp4_e2m1_all, expected integers of",
      "4:5: Cannot follow quant.wgts.group_shapes: scales are shared in groups of [4, 32], expected",
      "7:25: Cannot follow quant.ipts.skips: inputs of down_proj stay in full precision, expected",
      "8:11: Cannot follow quant.opts.dtype: uint4 has no zero point, so that negative values are lost",
      "10:15: Cannot follow quant.rotation.path: the matrix is read from",
      "12:14: Cannot follow quant.reorder.dynamic: channels are reordered while the model runs",
    ]
  ) assert.ok(told.some((line) => line.startsWith(start)), `${start}\n${errors}`);
  assert.ok(told.some((line) => line.includes("quant.wgts.calib_range.degree: errors are raised")));
  await assert.rejects(Deno.stat(out), Deno.errors.NotFound);
});

Deno.test("import-config leaves out what a recipe turns off, whatever stands there", async () => {
  const path = await written(
    "off.yaml",
    `quant:
  wgts: { dtype: sint8, enable_kernel_gptq: false, enable_calib_range: false, calib_range: { degree: 3, strategy: GridSearch } }
  rotation: { path: some.pt }
  enable_reorder: false
  reorder: { dynamic: true }
  enable_smooth: true
  smooth: { enable_proj: false, proj: { granularity: Group } }
`,
  );
  const { status, out, errors } = await call(path);
  assert.deepEqual([status, errors], [0, ""]);
  const steps = stepsOf(parse(out)).map(({ stage }) => stage);
  assert.deepEqual(
    steps.filter((stage) => ["rotate", "reorder", "smooth", "quantize"].includes(stage)),
    ["quantize"],
  );
});

Deno.test("import-config --model takes what DeepCompressor's script says for that model", async () => {
  const path = await project({
    "__default__": DEFAULTS,
    gchn: { quant: RECIPES["qoq-gchn"] },
  });
  const smoothed = (text: string) =>
    stepsOf(parse(text)).find(({ stage }) => stage === "smooth")!.params as {
      readonly projections: { readonly alpha: number; readonly beta: number };
      readonly attention: { readonly strategy: string; readonly beta: number };
    };
  // examples/llm/scripts/qoq.sh: llama-13b 0/1; llama-3-8b .1/.9 with SmoothAttention by hand, beta 0.
  const plain = await call(`${path}/gchn.yaml`);
  assert.equal(smoothed(plain.out).projections.alpha, 0.1);
  assert.match(
    plain.out,
    /script for llama-2-7b says alpha 0.05 and beta 0.95 on the command line/,
  );
  const first = smoothed(await imported(`${path}/gchn.yaml`, "--model", "llama-13b"));
  assert.deepEqual([first.projections.alpha, first.projections.beta], [0, 1]);
  assert.equal(first.attention.strategy, "grid");
  const second = smoothed(await imported(`${path}/gchn.yaml`, "--model", "llama-3-8b"));
  assert.deepEqual([second.projections.alpha, second.attention.strategy], [0.1, "manual"]);
});

Deno.test("import-config keeps negative exponents, whose meaning is the same here", async () => {
  const path = await written(
    "sentinel.yaml",
    `quant:
  wgts: { dtype: sint8 }
  ipts: { dtype: sint8 }
  enable_smooth: true
  smooth:
    enable_proj: true
    proj: { strategy: GridSearch, alpha: -2, beta: 0, spans: [[AbsMax, SmoothSpanMode.RootMeanSquare]] }
`,
  );
  const { projections } = stepsOf(parse(await imported(path)))
    .find(({ stage }) => stage === "smooth")!.params as {
      readonly projections: Readonly<Record<string, unknown>>;
    };
  // Section 1.9: row -2, column 0 is A0, 0B, AC.
  assert.equal(projections.candidates, "single_or_complement");
  assert.deepEqual(projections.spans, ["abs_max", "rms"]);
});

Deno.test("import-config refuses aliases, TOML and files that are not there in a sentence", async () => {
  const alias = await written("alias.yaml", "quant: &a\n  wgts: *a\n");
  assert.match((await call(alias)).errors, /alias\.yaml:2:9: Cannot use the YAML alias/);
  const toml = await written("recipe.toml", "seed = 1\n");
  assert.match((await call(toml)).errors, /it is TOML, expected YAML/);
  assert.match((await call(`${FOLDER}/none.yaml`)).errors, /there is no such file/);
});

/** Writes recipes into a folder of their own. */
async function project(files: Readonly<Record<string, Recipe>>): Promise<string> {
  const path = await Deno.makeTempDir({ dir: FOLDER });
  for (const [name, recipe] of Object.entries(files)) {
    const full = `${path}/${name}.yaml`;
    await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
    // YAML reads JSON.
    await Deno.writeTextFile(full, JSON.stringify(recipe, undefined, 2));
  }
  return path;
}

async function written(name: string, text: string): Promise<string> {
  await Deno.writeTextFile(`${FOLDER}/${name}`, text);
  return `${FOLDER}/${name}`;
}

function call(...words: readonly string[]) {
  return callProgram({ stages, commands: modelCommands }, "import-config", ...words);
}

async function imported(...words: readonly string[]): Promise<string> {
  const { status, out, errors } = await call(...words);
  assert.deepEqual([status, errors], [0, ""]);
  return out;
}

function parse(text: string, set: readonly string[] = []): Manifest {
  return parseManifest(text, { path: "made.yaml", stages, set });
}

function weightsOf(text: string) {
  const step = stepsOf(parse(text)).find(({ stage }) => stage === "quantize");
  return (step?.params as { readonly weights: Readonly<Record<string, unknown>> })?.weights;
}

/** Steps by stage, inputs and parameters; names and titles are free. */
function stepsOf({ steps }: Manifest) {
  const measured = steps.filter(({ stage }) => stage === "evaluate").at(-1)?.name;
  const rename = (name: string) => name === measured ? "measured" : name;
  return steps.map(({ name, stage, inputs, params }) => ({
    name: rename(name),
    stage,
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([input, from]) => [
        input,
        typeof from === "string" ? rename(from) : from.map(rename),
      ]),
    ),
    params: stage === "compare" ? {} : params,
  }));
}

type Step = ReturnType<typeof stepsOf>[number];

/** A step of configs/ with the recipe's own numbers, where the config says that its differ. */
function asInTheRecipe(config: string): (step: Step) => Step {
  return (step) => {
    if (config !== "qoq-gchn") return step;
    const params = step.params as Readonly<Record<string, unknown>>;
    if (step.stage === "calibrate") return { ...step, params: { ...params, gram: true } };
    if (step.stage !== "quantize") return step;
    const range = { ...params.range as object, max_shrink: 0.2, grids: 80, gptq_shares: [1] };
    return {
      ...step,
      inputs: { model: "smoothed", stats: "stats" },
      params: { ...params, range, inputs: "original", windows: 128, context: 512 },
    };
  };
}

async function planned(text: string): Promise<void> {
  const store = new Store(await Deno.makeTempDir({ dir: FOLDER }));
  const { steps } = await plan(parse(text), { stages, store });
  assert.equal(steps.length, parse(text).steps.length);
}
