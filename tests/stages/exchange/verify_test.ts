import { strict as assert } from "node:assert";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { run } from "../../../pipeline/run/runner.ts";
import { Store } from "../../../pipeline/store/store.ts";
import { describePath } from "../../../stages/describe/describe.ts";
import { FORMATS } from "../../../stages/exchange/find_format.ts";
import { exportModel } from "../../../stages/export.ts";
import { quantize } from "../../../stages/quantize.ts";
import {
  checkExport,
  type ExportCheck,
  type ExportCheckOptions,
} from "../../../stages/exchange/export_check.ts";
import { callProgram } from "../../support/cli_call.ts";
import { fact, rows } from "../../support/description.ts";
import { writeShaped } from "../../support/packable_models.ts";
import { readHeader } from "../../../stages/formats/safetensors/header.ts";
import { editConfig, overwrite } from "../../support/checkpoint_patch.ts";
import { StageChain } from "../../support/stage_chain.ts";
import { modelCommands } from "../../../stages/commands/mod.ts";
import * as stages from "../../../stages/mod.ts";

const Q = "model.layers.0.self_attn.q_proj";
const UP = "model.layers.1.mlp.up_proj";
const PRE_SCALE = { bits: 4, zero: "pre_scale", group: 32 };

/** A model of whose precision each of these formats is the home. */
const HOMES: Readonly<Record<string, object>> = {
  auto_awq: { weights: PRE_SCALE },
  compressed_tensors: { weights: PRE_SCALE },
  gguf: { weights: { bits: 4, zero: "none", group: 32 } },
  gptq: { weights: { bits: 4, zero: "none", group: 32 } },
  gptq_v2: { weights: PRE_SCALE },
  huggingface: { weights: PRE_SCALE },
  qserve: {
    weights: { bits: 4, zero: "post_scale", group: 128, levels: 2 },
    activations: "dynamic",
  },
  tinychat: { weights: { bits: 4, zero: "post_scale", group: 128 } },
};

/** The engines that are told to read a format. */
const ENGINES: Readonly<Record<string, readonly string[]>> = {
  auto_awq: ["vllm", "transformers", "autoawq"],
  compressed_tensors: ["vllm==0.33.0", "transformers"],
  gguf: ["llama.cpp"],
  gptq: ["vllm", "transformers", "gptqmodel"],
  huggingface: ["vllm", "transformers"],
  qserve: ["qserve", "omniserve"],
  tinychat: ["tinychat", "llm-awq"],
};

for (const format of Object.keys(FORMATS)) {
  Deno.test(`an export in ${format} keeps all rules, and is described without a warning`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const { model, exported } = await make(chain, format);
    for (const target of [undefined, format.replace("_", "-"), ...ENGINES[format] ?? []]) {
      const found = await check(exported, model, target === undefined ? {} : { target });
      assert.deepEqual([found.breaches, found.count, found.format], [[], 0, format], target);
      assert.equal(found.original, model.path);
    }
    const description = (await describePath(exported.path, {}))!;
    assert.deepEqual(description.warnings, []);
    assert.match(description.title, new RegExp(`^${format} export of W4 `));
    assert.equal(fact(description, "Export", "of model"), model.digest);
    assert.match(fact(description, "Export", "bits per weight"), /^\d+\.\d{3} in the layers/);
    const engines = rows(description, "Engines").map(([engine]) => engine);
    for (const engine of ENGINES[format] ?? []) {
      const alias = { omniserve: "qserve", "llm-awq": "tinychat" }[engine];
      assert.ok(engines.includes(alias ?? engine.replace(/=.*/, "")), engine);
    }
  });
}

Deno.test("a code that was changed is told with linear, output, input and both values", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { model, exported } = await make(chain, "compressed_tensors");
  // Output 2, inputs 8 to 15 of a matrix of 128: word 2 * 16 + 1; the lowest code is input 8.
  await patch(exported.path, `${UP}.weight_packed`, { at: 4 * (2 * 16 + 1), flip: 1 });
  const { count, breaches: [breach] } = await check(exported, model);
  assert.equal(count, 1);
  assert.equal(breach?.tensor, UP);
  const [, got, expected] =
    /^output 2, input 8 is (\S+), expected (\S+)$/.exec(breach?.rule ?? "") ??
      [];
  assert.notEqual(Number(got), Number(expected));
});

Deno.test("a scale that is no number is told, with its tensor, where there is nothing to compare with", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { exported } = await make(chain, "auto_awq");
  await overwrite(exported.path, `${Q}.scales`, new Float16Array([NaN]));
  const found = await checkExport(exported.path, { find: () => Promise.resolve(undefined) });
  assert.equal(found.count, 1);
  assert.match(found.breaches[0]!.rule, /q_proj\.scales.*NaN/);
  assert.match(found.warnings.join("\n"), /is not in the store, so that values are not compared/);
  assert.equal(found.original, undefined);
});

Deno.test("GPTQ codes with groups over permuted columns are sound, and their values are compared", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { model, exported } = await make(chain, "gptq");
  // Columns 0 and 32 change their groups of 32.
  const groups = Int32Array.from(
    { length: 128 },
    (_, k) => Math.floor((k ^ (k % 32 ? 0 : 32)) / 32),
  );
  await overwrite(exported.path, `${Q}.g_idx`, groups);
  await editConfig(exported.path, (config) => {
    Object.assign(config.quantization_config as object, { desc_act: true });
  });
  const alone = await checkExport(exported.path, { find: () => Promise.resolve(undefined) });
  assert.deepEqual(alone.breaches, []);
  const { breaches: [breach] } = await check(exported, model);
  assert.equal(breach?.tensor, Q);
  assert.match(breach?.rule ?? "", /^output 0, input 0 is \S+, expected \S+$/);
  await overwrite(exported.path, `${Q}.g_idx`, new Int32Array([9]));
  const broken = await checkExport(exported.path, { find: () => Promise.resolve(undefined) });
  assert.match(broken.breaches[0]?.rule ?? "", /g_idx.*9/);
});

Deno.test("a missing tensor, and config.json against the tensors, are told", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { model, exported } = await make(chain, "auto_awq");
  await editConfig(exported.path, (config) => {
    Object.assign(config.quantization_config as object, { group_size: 64 });
  });
  const claims = await check(exported, model);
  assert.ok(
    claims.breaches.some(({ rule }) =>
      rule === "config.json says groups of 64, but linears have groups of 32"
    ),
    JSON.stringify(claims.breaches),
  );
  await editConfig(exported.path, (config) => void (config.num_hidden_layers = 3));
  const { breaches, count } = await check(exported, model);
  assert.ok(breaches.some(({ rule }) => /tensor "model\.layers\.2\..*" is missing/.test(rule)));
  assert.ok(count >= breaches.length);
});

Deno.test("a model of other sizes is told to be another, and not compared with", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { exported } = await make(chain, "huggingface");
  const artifact = { path: chain.family("qwen2_tied").path };
  const { breaches, facts } = await checkExport(exported.path, {
    artifact,
    find: () => Promise.resolve(undefined),
  });
  assert.ok(
    breaches.some(({ rule }) =>
      /^it tells of a tensor "model\.\S+" of \[\d+.*\], expected \[.*\] as in the model/.test(rule)
    ),
    JSON.stringify(breaches),
  );
  assert.equal(facts.find(([name]) => name === "compared")?.[1], "with nothing");
});

Deno.test("of many breaches twenty are told and all are counted", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { model, exported } = await make(chain, "gptq");
  await editConfig(exported.path, (config) => void (config.num_hidden_layers = 9));
  const { breaches, count } = await check(exported, model);
  assert.equal(breaches.length, 20);
  // Seven layers of two norms and seven linears, which have a weight at least.
  assert.ok(count >= 7 * 9, `${count}`);
});

Deno.test("a target that does not read the format is told what it reads", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { model, exported } = await make(chain, "gguf");
  const rule = async (target: string) =>
    (await check(exported, model, { target })).breaches[0]?.rule;
  assert.match(
    await rule("vllm") ?? "",
    /^vllm does not run this model in gguf, expected one of .*compressed_tensors.*huggingface/,
  );
  assert.equal(await rule("gptq"), "it is in gguf, expected gptq");
  await assert.rejects(
    () => check(exported, model, { target: "ollama" }),
    /^TypeError: Cannot check for "ollama": there is no such engine or format, expected one of vllm, /,
  );
});

Deno.test("a version of an engine that our rules do not know is told to be another", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { model, exported } = await make(chain, "huggingface");
  const warnings = async (target: string) =>
    (await check(exported, model, { target })).warnings.filter((text) => text.startsWith("rules"));
  assert.deepEqual(await warnings("vllm==0.33.0"), []);
  assert.deepEqual(await warnings("vllm==0.9.1"), [
    "rules are those of vLLM 0.33.0; those of vllm 0.9.1 may differ",
  ]);
});

Deno.test("what runs an export on a processor is told of a table, and what does not is broken", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const w4a16 = await make(chain, "compressed_tensors");
  const w4a8 = await make(chain, "compressed_tensors", {
    weights: { bits: 4, zero: "none", group: "row" },
    activations: "dynamic",
  });
  const qserve = await make(chain, "qserve");
  const on = async ({ exported, model }: Awaited<ReturnType<typeof make>>, ...names: string[]) => {
    const [target = "", gpu = ""] = names;
    const { facts, breaches, warnings } = await check(exported, model, { target, gpu });
    return {
      kernels: new Map(facts).get(`on ${gpu}`),
      missing: breaches.map(({ rule }) => rule),
      packages: warnings.filter((text) => text.includes("package")),
    };
  };
  // Machete is for Hopper alone (mixed_precision/machete.py of vLLM).
  assert.deepEqual(await on(w4a16, "vllm", "h100"), {
    kernels: "int4 x floating point: Marlin, Machete, Humming",
    missing: [],
    packages: [],
  });
  assert.equal((await on(w4a16, "vllm", "b200")).kernels, "int4 x floating point: Marlin, Humming");
  assert.deepEqual((await on(w4a16, "vllm", "v100")).missing, [
    "vllm has no kernel for int4 x floating point on v100, expected Marlin on NVIDIA's compute capability 7.5 and above, Machete on NVIDIA's compute capability 9, Humming on NVIDIA's compute capability 7.5 and above, Triton W4A16 on rocm, CPU W4A16 on x86",
  ]);
  // vllm-project/llm-compressor#2693: none that loads on an H100 but that of a package.
  assert.deepEqual(await on(w4a8, "vllm", "h100"), {
    kernels: "int4 x int8: Humming",
    missing: [],
    packages: [
      "vllm has no kernel of its own for int4 x int8 on CUDA; it needs the package humming-kernels",
    ],
  });
  assert.deepEqual(await on(w4a8, "vllm", "arm"), {
    kernels: "int4 x int8: KleidiAI",
    missing: [],
    packages: [],
  });
  assert.match(
    (await on(w4a8, "vllm", "mi300x")).missing[0] ?? "",
    /^vllm has no kernel for int4 x int8 on mi300x/,
  );
  assert.deepEqual((await on(qserve, "qserve", "a100")).missing, []);
  assert.match(
    (await on(qserve, "qserve", "t4")).missing[0] ?? "",
    /^qserve has no kernel for int4 x int8 on t4/,
  );
  const refused = (options: Partial<ExportCheckOptions>) => () =>
    check(w4a8.exported, w4a8.model, options);
  await assert.rejects(
    refused({ target: "vllm", gpu: "voodoo2" }),
    /^TypeError: Cannot check for "voodoo2": no such processor is in the table of engines' kernels, expected one of v100, /,
  );
  await assert.rejects(refused({ gpu: "h100" }), /without an engine/);
  await assert.rejects(
    refused({ target: "gptq", gpu: "h100" }),
    /it is a format, expected an engine/,
  );
});

Deno.test("a recipe that is not the one of its digest, and inputs that are not the model's, are told", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { model, exported } = await make(chain, "compressed_tensors");
  const path = `${exported.path}/provenance.json`;
  const provenance = JSON.parse(await Deno.readTextFile(path));
  provenance.recipe.stages[0].params.method = "gptq";
  await Deno.writeTextFile(path, JSON.stringify(provenance));
  await editConfig(exported.path, (config) => {
    const { config_groups: groups } = config.quantization_config as {
      config_groups: Record<string, { input_activations: unknown }>;
    };
    groups.group_0!.input_activations = {
      num_bits: 8,
      type: "int",
      symmetric: true,
      strategy: "token",
      dynamic: true,
    };
  });
  const { breaches } = await check(exported, model);
  assert.ok(
    breaches.some(({ rule }) => rule.startsWith("provenance.json: the recipe's digest is")),
  );
  assert.ok(
    breaches.some(({ tensor, rule }) =>
      tensor === Q && rule === "its inputs are A8 per token, expected A16 as in the model"
    ),
    JSON.stringify(breaches),
  );
});

Deno.test("`verify-export` finds the model in the store, says what it compared, and ends with status 1", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const shaped = `${directory}/shaped`;
    await writeShaped("llama_wide_heads", shaped);
    const manifest = parseManifest(
      `
steps:
  source: { stage: load, with: { model: ${shaped}, dtype: float32 } }
  codes: { stage: quantize, from: { model: source }, with: { method: rtn, weights: { bits: 4, zero: none, group: 32 } } }
  out: { stage: export, from: { model: codes }, with: { format: gptq } }
`,
      { path: `${directory}/a.yaml`, stages },
    );
    const store = new Store(`${directory}/store`);
    const device = new ReferenceDevice();
    const tools = { device: () => Promise.resolve(device), memoryBytes: 2 ** 28 };
    await run(manifest, { store, stages, tools: () => tools, emit: () => {} });
    const kinds = new Map<string, string>();
    for (const key of await store.keys()) {
      const found = await store.inspect(key);
      if (found.state === "whole") kinds.set(found.stored.record.recipe.stage, key);
    }
    const call = (...args: string[]) =>
      callProgram(
        { stages, commands: modelCommands },
        "verify-export",
        ...args,
        "--store",
        store.path,
      );
    const good = await call(kinds.get("export")!.slice(0, 10), "--target", "transformers");
    assert.equal(good.status, 0, good.errors);
    assert.match(good.out, /: all rules hold\n/);
    const model = `${store.path}/artifacts/${kinds.get("quantize")}`;
    assert.match(good.out, new RegExp(`compared +every value, exactly, with ${model}\n`));
    assert.match(good.out, /run it +AutoModelForCausalLM/);
    const copy = `${directory}/copy`;
    await callProgram({ stages }, "checkout", kinds.get("export")!, copy, "--store", store.path);
    await patch(copy, `${Q}.qweight`, { at: 0, flip: 3 });
    const bad = await call(copy, "--json");
    assert.equal(bad.status, 1);
    const lines = bad.out.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.equal(lines.find(({ type }) => type === "breach").tensor, Q);
    const last = lines.at(-1);
    assert.deepEqual([last.type, last.count, last.original], ["verified-export", 1, model]);
    const named = await call(copy, "--artifact", kinds.get("load")!);
    assert.match(named.out, /warning it was made from the model .*, but is compared with/);
    assert.equal(named.status, 1);
    const nothing = await call(`${directory}/nowhere`);
    assert.deepEqual([nothing.status, nothing.errors.slice(0, 15)], [1, 'Cannot verify "']);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** A model in the precision that is at home in a format, and its export. */
async function make(
  chain: StageChain,
  format: string,
  precision = HOMES[format],
): Promise<{ readonly model: Artifact; readonly exported: Artifact }> {
  const shaped = await writeShaped("llama_wide_heads", await chain.directory());
  // QServe has no place for the gains of norms.
  const plain = await chain.edited(
    shaped,
    (name, values) => void (name.endsWith("norm.weight") && values.fill(1)),
  );
  const params = { method: "rtn", ...precision };
  const model = await chain.run(quantize, { model: plain }, params);
  const exported = await chain.run(exportModel, { model, reports: [] }, { format });
  return { model, exported };
}

async function check(
  { path }: Artifact,
  model: Artifact,
  options: Partial<ExportCheckOptions> = {},
): Promise<ExportCheck> {
  return await checkExport(path, {
    find: (digest) => Promise.resolve(digest === model.digest ? model.path : undefined),
    ...options,
  });
}

/** Flips bits of one byte of a tensor. */
async function patch(
  directory: string,
  name: string,
  { at, flip }: { readonly at: number; readonly flip: number },
): Promise<void> {
  const path = `${directory}/model.safetensors`;
  const { start } = (await readHeader(path)).tensors.get(name)!;
  const bytes = await Deno.readFile(path);
  bytes[start + at]! ^= flip;
  await Deno.writeFile(path, bytes);
}
