import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { describePath } from "../../../stages/describe/describe.ts";
import { layerRanges } from "../../../stages/describe/architecture.ts";
import { writeSafetensors } from "../../../stages/formats/safetensors/file.ts";
import { architectureOf } from "../../../stages/models/architecture.ts";
import { fact, rows } from "../../support/description.ts";
import { withDirectory } from "../../support/directory.ts";
import {
  CONFIG,
  type Kind,
  type Shape,
  writeModel,
  writePacked,
} from "../../support/tiny_checkpoint.ts";
import { writeTokenized } from "../../support/tiny_tokenizer.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

/** Weights of the linears of a layer: q, o: 256 each; k, v: 128 each; gate, up, down: 512 each. */
const LAYER_WEIGHTS = 2 * 256 + 2 * 128 + 3 * 512;
/** Embeddings, head, and five norms. */
const OTHERS = 2 * 24 * 16 + 5 * 16;

Deno.test("the embedded model is described as what it is", async () => {
  const description = await describePath(EMBEDDED, { deep: true });
  ok(description);
  // 4 layers of 786,432 weights, embeddings and head of 262,144 each, 9 norms of 256.
  const parameters = 4 * 786_432 + 2 * 262_144 + 9 * 256;
  strictEqual(description.title, "LlamaForCausalLM, 4 layers, 3.7 M parameters, W16 A16 KV16");
  deepStrictEqual(description.warnings, []);
  strictEqual(fact(description, "Model", "parameters"), String(parameters));
  strictEqual(fact(description, "Model", "weights"), `${2 * parameters} bytes in 1 file`);
  strictEqual(
    fact(description, "Model", "values"),
    `all ${parameters} floating-point values are finite`,
  );
  match(
    fact(description, "Model", "norm gains"),
    /^not folded: gains from [\d.]+ to [\d.]+ in 9 norms$/,
  );
  strictEqual(fact(description, "Model", "KV cache"), "2048 bytes per token");
  strictEqual(fact(description, "History", "changes"), "none: as it was loaded");
  strictEqual(fact(description, "Tokenizer", "tokenizer"), "BPE of 1024 tokens");
  strictEqual(
    fact(description, "Tokenizer", "ends of answers"),
    "<|endoftext|> (0): tokenizer_config.json, generation_config.json, config.json, added tokens",
  );
  deepStrictEqual(rows(description, "Element types"), [[
    "F16",
    "39",
    `${parameters}`,
    `${2 * parameters}`,
  ]]);
});

Deno.test("ends of answers are listed with what says them, and those that no token has are told", () =>
  withDirectory(async (directory) => {
    await writeTokenized(directory, { ends: [0, 3, 99] });
    const map = JSON.stringify({ eos_token: "<halt>" });
    await Deno.writeTextFile(`${directory}/special_tokens_map.json`, map);
    const description = await describePath(directory, { kind: "model" });
    ok(description);
    strictEqual(
      fact(description, "Tokenizer", "ends of answers"),
      "<|endoftext|> (0): tokenizer_config.json, generation_config.json, config.json, added tokens; " +
        "<stop> (3): generation_config.json; no token (99): generation_config.json; " +
        "<halt> (4): special_tokens_map.json; <|im_end|> (2): added tokens",
    );
    deepStrictEqual(description.warnings, [
      "generation_config.json would end answers at id 99, which no token has",
    ]);
  }));

Deno.test("a quantized model's schemes are told by linear and range of layers", () =>
  withDirectory(async (directory) => {
    await writePacked(directory);
    const description = await describePath(directory, { kind: "model" });
    ok(description);
    deepStrictEqual(description.warnings, []);
    const table = rows(description, "Linears").map((row) => row.slice(0, 10).join(" "));
    deepStrictEqual(table[0], "q_proj 0 4 8 post-scale 2 A8 per token gptq 2.00e-2 1.00e-3");
    deepStrictEqual(table[1], "q_proj 1 8 per row none 1 A8 static rtn 4.00e-2 ");
    deepStrictEqual(table[2], "k_proj 0-1 F16    A16   ");
    strictEqual(table.length, 8);
    // Layer 0's q: 128 bytes of codes, 32 of scales, 32 each of group scales and zeros. Layer 1's:
    // 256 of codes, 32 of scales. The others are F16.
    const bits = 8 * (224 + 288 + 2 * (2 * LAYER_WEIGHTS - 2 * 256)) / (2 * LAYER_WEIGHTS);
    strictEqual(
      fact(description, "Model", "bits per weight"),
      `${bits.toFixed(3)} in the layers' linears`,
    );
    strictEqual(fact(description, "Model", "parameters"), String(2 * LAYER_WEIGHTS + OTHERS));
    strictEqual(fact(description, "Model", "norm gains"), "folded: all gains of 5 norms are 1");
    strictEqual(
      fact(description, "KV cache", "layers 0"),
      "keys 4 bits post-scale, groups of 8; values 8 bits none, groups of 8, range 2.5",
    );
    strictEqual(
      fact(description, "KV cache", "layers 1"),
      "keys 4 bits post-scale, groups of 8, clip 0.9; values 16 bits",
    );
    strictEqual(fact(description, "History", "rotate"), "seed 1, transforms out_proj+down_proj");
    strictEqual(fact(description, "History", "online transforms"), "Hadamard at mlp.out");
    const charts = description.sections.flatMap(({ charts = [] }) => charts);
    deepStrictEqual(charts.find(({ title }) => title === "Error of the linears' outputs")?.series, [
      // The error of the weight stands where that of the outputs was not measured.
      { name: "", points: [[0, 0.001], [1, 0.04]] },
    ]);
    deepStrictEqual(
      charts.find(({ title }) => title === "Error of attention by the KV cache")?.series[0]?.points,
      [[0, 0.01], [1, 0.02]],
    );
  }));

Deno.test("a quantized model whose tensors are not what its record says is told of", () =>
  withDirectory(async (directory) => {
    const q = "model.layers.0.self_attn.q_proj";
    await writePacked(directory, (tensors) => {
      tensors.delete(`${q}.scales`);
      tensors.set(`${q}.weight`, { dtype: "F16", shape: [16, 16] });
      tensors.set(`${q}.group_zeros`, { dtype: "U8", shape: [16, 1] });
      tensors.delete("model.norm.weight");
    });
    const { warnings } = (await describePath(directory, {}))!;
    deepStrictEqual(warnings, [
      `2 tensors are missing: "${q}.scales", "model.norm.weight"`,
      `"${q}" is there whole and in codes`.replace(q, `${q}.weight`),
      `"${q}.group_zeros" is [16, 1], expected [16, 2]`,
      `"${q}.group_zeros" is U8, expected I8`,
    ]);
  }));

Deno.test("a config that claims quantization over full-precision tensors is told of", () =>
  withDirectory(async (directory) => {
    const quantization_config = { quant_method: "gptq", bits: 4, group_size: 128 };
    await writeModel(directory, { config: { ...CONFIG, quantization_config } });
    const description = (await describePath(directory, {}))!;
    deepStrictEqual(description.warnings, [
      "config.json says its weights are quantized (gptq, 4 bits, groups of 128), but all 14 linears hold F16 weights",
    ]);
    strictEqual(fact(description, "Model", "config.json says"), "gptq, 4 bits, groups of 128");
  }));

Deno.test("codes of GPTQ, AWQ and bitsandbytes are known by their shapes, whatever the config says", () =>
  withDirectory(async (directory) => {
    const forms: Readonly<Record<string, (shape: Shape) => [string, Kind][]>> = {
      // 4 bits along the inputs in groups of 8; the config says 3 bits and 16.
      gptq: ([outputs, inputs]) => [
        ["qweight", { dtype: "I32", shape: [inputs / 8, outputs] }],
        ["scales", { dtype: "F16", shape: [inputs / 8, outputs] }],
      ],
      awq: ([outputs, inputs]) => [
        ["qweight", { dtype: "I32", shape: [inputs, outputs / 8] }],
        ["scales", { dtype: "F16", shape: [inputs / 8, outputs] }],
      ],
      bitsandbytes: ([outputs, inputs]) => [
        ["weight", { dtype: "U8", shape: [outputs * inputs / 2, 1] }],
      ],
    };
    const told: Record<string, readonly string[]> = {};
    for (const [quant_method, form] of Object.entries(forms)) {
      const quantization_config = { quant_method, bits: 3, group_size: 16 };
      await writeModel(directory, {
        config: { ...CONFIG, quantization_config },
        edit: (tensors) => {
          for (const [name, { shape }] of [...tensors]) {
            if (!name.endsWith("_proj.weight")) continue;
            tensors.delete(name);
            const linear = name.replace(/\.weight$/, "");
            for (const [part, kind] of form(shape as Shape)) tensors.set(`${linear}.${part}`, kind);
          }
        },
      });
      const description = (await describePath(directory, {}))!;
      told[quant_method] = [fact(description, "Model", "linears hold"), ...description.warnings];
    }
    const bits = "config.json says 3 bits, but linears have 4 bits";
    const groups = "config.json says groups of 16, but linears have groups of 8";
    deepStrictEqual(told, {
      gptq: ["GPTQ codes, 4 bits, groups of 8 in 14 of 14", bits, groups],
      awq: ["AWQ codes, 4 bits, groups of 8 in 14 of 14", bits, groups],
      bitsandbytes: ["bitsandbytes codes, 4 bits in 14 of 14", bits],
    });
    await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(CONFIG));
    deepStrictEqual((await describePath(directory, {}))?.warnings, [
      "14 linears hold bitsandbytes codes, 4 bits, but config.json has no quantization_config",
    ]);
  }));

Deno.test("missing, misplaced and truncated shards are told of, and the rest is described", () =>
  withDirectory(async (directory) => {
    await writeModel(directory, {});
    await Deno.rename(
      `${directory}/model.safetensors`,
      `${directory}/model-00001-of-00002.safetensors`,
    );
    const alone = (await describePath(directory, {}))!;
    match(
      alone.warnings[0]!,
      /^There is neither model\.safetensors nor model\.safetensors\.index\.json/,
    );
    const names = [...architectureOf(CONFIG).tensors.keys()];
    const weight_map = Object.fromEntries(
      names.map((name) => [
        name,
        `model-0000${name.startsWith("lm_head") ? 2 : 1}-of-00002.safetensors`,
      ]),
    );
    const index = (json: unknown) =>
      Deno.writeTextFile(`${directory}/model.safetensors.index.json`, JSON.stringify(json));
    await index({ weight_map });
    const missing = (await describePath(directory, {}))!;
    deepStrictEqual(missing.warnings, [
      "model-00002-of-00002.safetensors is missing; model.safetensors.index.json says it holds 1 tensors",
    ]);
    strictEqual(fact(missing, "Architecture", "layers"), "2");
    await writeSafetensors(
      `${directory}/model-00002-of-00002.safetensors`,
      new Map([["other", { shape: [1], values: new Float32Array(1) }]]),
    );
    deepStrictEqual((await describePath(directory, {}))?.warnings, [
      'model-00002-of-00002.safetensors does not hold "lm_head.weight", though model.safetensors.index.json says so',
      'model.safetensors.index.json does not list "other"',
      '"other" is of parts that LlamaForCausalLM has not, expected none',
    ]);
    await Deno.truncate(`${directory}/model-00001-of-00002.safetensors`, 4000);
    const cut = (await describePath(directory, {}))!.warnings;
    match(cut[0]!, /truncated, fetch it again/);
    await index({
      metadata: { total_size: 5 },
      weight_map: { other: "model-00002-of-00002.safetensors" },
    });
    await Deno.remove(`${directory}/model-00001-of-00002.safetensors`);
    match(
      (await describePath(directory, {}))!.warnings[0]!,
      /^model\.safetensors\.index\.json says 5 bytes of tensors, the files hold 4$/,
    );
    await Deno.remove(`${directory}/model.safetensors.index.json`);
    await Deno.remove(`${directory}/model-00002-of-00002.safetensors`);
    await Deno.writeTextFile(`${directory}/pytorch_model.bin`, "");
    match(
      (await describePath(directory, {}))!.warnings[0]!,
      /^Its weights are in pytorch_model\.bin, which only/,
    );
  }));

Deno.test("--deep finds values that are no numbers and weights that are all zero", () =>
  withDirectory(async (directory) => {
    const bad = "model.layers.1.mlp.up_proj.weight";
    await writeModel(directory, {
      fill: (name, values) => {
        values.fill(name === "model.layers.0.mlp.gate_proj.weight" ? 0 : 0.5);
        if (name === bad) values[3] = NaN;
      },
    });
    deepStrictEqual((await describePath(directory, {}))?.warnings, []);
    const deep = (await describePath(directory, { deep: true }))!;
    deepStrictEqual(deep.warnings, [
      `NaN or infinity in "${bad}"`,
      'All values are 0 in "model.layers.0.mlp.gate_proj.weight"',
    ]);
    strictEqual(fact(deep, "Model", "values"), "1 tensors hold values that are not finite");
  }));

Deno.test("heads, norms and architectures that are not what they seem are told of", () =>
  withDirectory(async (directory) => {
    await writeModel(directory, {
      config: { ...CONFIG, tie_word_embeddings: true },
      fill: (name, values) => values.fill(name.includes("input_layernorm") ? 1 : 2),
    });
    const tied = (await describePath(directory, {}))!;
    deepStrictEqual(tied.warnings, [
      'config.json ties the head to the embeddings, but "lm_head.weight" is there; load uses it where it holds other values',
    ]);
    strictEqual(fact(tied, "Model", "unused tensors"), '"lm_head.weight"');
    strictEqual(fact(tied, "Model", "norm gains"), "folded in 2 of 5 norms: gains from 1 to 2");
    await writeModel(directory, {
      config: { ...CONFIG, architectures: ["MambaForCausalLM"], hidden_size: 16 },
    });
    const other = (await describePath(directory, {}))!;
    match(
      other.warnings[0]!,
      /^Cannot run architecture "MambaForCausalLM": expected .*LlamaForCausalLM/,
    );
    match(other.title, /^MambaForCausalLM, 0\.0 M parameters$/);
    strictEqual(fact(other, "Architecture", "hidden_size"), "16");
    await Deno.remove(`${directory}/config.json`);
    deepStrictEqual((await describePath(directory, {}))?.warnings, ["There is no config.json"]);
  }));

Deno.test("a tokenizer with more tokens than the embedding has rows is told of", () =>
  withDirectory(async (directory) => {
    await writeModel(directory, {});
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      await Deno.copyFile(`${EMBEDDED}/${name}`, `${directory}/${name}`);
    }
    deepStrictEqual((await describePath(directory, {}))?.warnings, [
      "The tokenizer makes ids up to 1023, but the embedding has 24 rows",
    ]);
  }));

Deno.test("layers are told by ranges", () => {
  strictEqual(layerRanges([3, 0, 1, 5, 4]), "0-1, 3-5");
  strictEqual(layerRanges([7]), "7");
});
