import { strict as assert } from "node:assert";
import { ReferenceDevice } from "../../../../kernels/device/reference.ts";
import type { Artifact } from "../../../../pipeline/artifact.ts";
import { FORMATS, recognizeFormat } from "../../../../stages/exchange/find_format.ts";
import type { FormatOptions, Reading } from "../../../../stages/exchange/format.ts";
import { gptqConfig } from "../../../../stages/exchange/gptq/config.ts";
import { openSource, type Subject } from "../../../../stages/exchange/subject.ts";
import { verifyReading } from "../../../../stages/exchange/verify.ts";
import { exportModel } from "../../../../stages/export.ts";
import { bytesOf, toBrain } from "../../../../stages/formats/half.ts";
import { openDirectory } from "../../../../stages/formats/safetensors/directory.ts";
import { codedValues } from "../../../../stages/quant/coded_weight.ts";
import type { LinearScheme, WeightScheme } from "../../../../stages/quant/schemes.ts";
import { quantize } from "../../../../stages/quantize.ts";
import { add, type Edit, edited, setValue } from "../../../support/export_edit.ts";
import { SHAPED, writeShaped } from "../../../support/packable_models.ts";
import { StageChain } from "../../../support/stage_chain.ts";

const OPTIONS: FormatOptions = { dtype: "float16", shardBytes: 5e9 };
const Q = "model.layers.0.self_attn.q_proj";
const K = "model.layers.0.self_attn.k_proj";

Deno.test("gptq, awq and tinychat checkpoints: damage is named by tensor and rule", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await plainModel(chain);
  const cases: readonly (readonly [
    format: string,
    zero: string,
    edit: Edit,
    message: RegExp,
  ])[] = [
    [
      "gptq",
      "none",
      setValue(`${Q}.g_idx`, 70, 4),
      /q_proj\.g_idx": input 70 is in group 4, expected 0 to 3$/,
    ],
    [
      "gptq",
      "none",
      setValue(`${Q}.scales`, 130, NaN),
      /q_proj\.scales": output 2, group 1 is NaN, expected a number/,
    ],
    [
      "gptq",
      "none",
      setValue(`${Q}.qzeros`, 0, 0x77777778),
      /q_proj\.qzeros": output 0, group 0 is 8, expected 7 throughout/,
    ],
    [
      "gptq",
      "pre_scale",
      setValue(`${Q}.qzeros`, 16, 0x7777f777),
      /q_proj\.qzeros": output 3, group 1 is 15, expected at most 14: /,
    ],
    [
      "gptq",
      "none",
      add(`${K}.bias`, "F16", [64], new Float16Array(64).fill(1, 9)),
      /k_proj\.bias": output 9 is 1, expected 0: /,
    ],
    [
      "auto_awq",
      "none",
      setValue(`${Q}.scales`, 5, Infinity),
      /q_proj\.scales": output 5, group 0 is Infinity, expected a number/,
    ],
    [
      "tinychat",
      "pre_scale",
      setValue(`${Q}.scales`, 128 * 4 + 7, 2),
      /q_proj\.scales": row 4 holds 2, expected 0 after 4 groups/,
    ],
    [
      "tinychat",
      "pre_scale",
      setValue(`${Q}.scaled_zeros`, 3, NaN),
      /q_proj\.scaled_zeros": output 3, group 0 is NaN/,
    ],
  ];
  for (const [format, zero, edit, message] of cases) {
    const written = await exportedAs(chain, model, format, { zero });
    const damaged = await edited(written.path, await chain.directory(), edit);
    using reading = await FORMATS[format]!.open(damaged);
    const breaches = await Array.fromAsync(verifyReading(reading));
    assert.equal(breaches.length, 1, JSON.stringify(breaches));
    assert.match(breaches[0]!.rule, message);
  }
});

Deno.test("gptq, awq and tinychat checkpoints: headers that contradict the config or the shapes are refused", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await plainModel(chain);
  const cases: readonly (readonly [format: string, edit: Edit, message: RegExp])[] = [
    [
      "gptq",
      { config: { bits: 8 } },
      /q_proj\.qweight" of ".*": \[16, 128\] are 4 bits an input, expected 8 as the config says/,
    ],
    [
      "gptq",
      { config: { checkpoint_format: "marlin" } },
      /as gptq: .* says checkpoint_format marlin, expected checkpoint_format gptq/,
    ],
    ["gptq", { config: undefined }, /as gptq: it says nothing of its quantization, expected/],
    [
      "gptq",
      add(`${Q}.scales`, "F16", [3, 128], new Float16Array(384).fill(1)),
      /q_proj\.scales": it has 3 groups, expected a number that divides 128 inputs/,
    ],
    [
      "auto_awq",
      { config: { version: "gemv" } },
      /as auto_awq: .* says version gemv, expected gemm/,
    ],
    ["auto_awq", { config: { bits: 3 } }, /as auto_awq: .* says 3 bits, expected 4/],
    [
      "tinychat",
      add(`${Q}.scales`, "F16", [9, 128], new Float16Array(9 * 128).fill(1)),
      /q_proj\.scales" of ".*": it has 9 rows, expected 8 for groups of 128, 16 for groups of 64, 32/,
    ],
  ];
  for (const [format, edit, message] of cases) {
    const written = await exportedAs(chain, model, format, { zero: "pre_scale" });
    const broken = await edited(written.path, await chain.directory(), edit);
    await assert.rejects(async () => void await FORMATS[format]!.open(broken), (error: Error) => {
      assert.match(error.message, /^Cannot read [^\n]*: [^\n]*, expected [^\n]*$/);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("gptq checkpoints: what other programs leave out, add and widen is read", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await plainModel(chain);
  const written = await exportedAs(chain, model, "gptq", { zero: "pre_scale" });
  using source = await openSource(written.model.path);
  // AutoGPTQ's first files: no quantization_config, a bias of zeros everywhere, no desc_act order.
  const stated = JSON.parse(await Deno.readTextFile(`${written.path}/quantize_config.json`));
  const old = await edited(written.path, await chain.directory(), {
    config: undefined,
    keep: ["quantize_config.json"],
    tensors: (tensors) => {
      for (const name of [...tensors.keys()].filter((name) => name.endsWith(".qweight"))) {
        const [, rows = 0] = tensors.get(name)!.shape;
        const bias = new Float16Array(rows);
        tensors.set(name.replace("qweight", "bias"), {
          dtype: "F16",
          shape: [rows],
          bytes: bytesOf(bias),
        });
      }
    },
  });
  await check(
    old,
    "gptq",
    (reading) => assert.equal(reading.linears[Q]?.weights.zero, "pre_scale"),
  );
  assert.equal(stated.checkpoint_format, "gptq");
  // Scales in bfloat16: those of the model rounded, so only the format's own rules are checked.
  const brain = await edited(written.path, await chain.directory(), {
    tensors: (tensors) => {
      for (const [name, { shape, bytes }] of tensors) {
        if (!name.endsWith(".scales")) continue;
        const halves = new Float16Array(bytes.slice().buffer as ArrayBuffer);
        const wide = toBrain(new Float32Array(halves));
        tensors.set(name, { dtype: "BF16", shape, bytes: bytesOf(wide) });
      }
    },
  });
  using reading = await FORMATS.gptq!.open(brain);
  assert.deepEqual(await Array.fromAsync(verifyReading(reading)), []);
  const [got, original] = [await reading.linear(Q), await source.linear(Q)];
  assert.deepEqual(got.codes, original.codes);
  const rounded = new Uint32Array(
    Uint32Array.from(toBrain(new Float32Array(original.scales)), (half) => half << 16).buffer,
  );
  assert.deepEqual(new Float32Array(got.scales), new Float32Array(rounded.buffer));

  async function check(
    directory: string,
    format: string,
    more: (reading: Reading) => void,
  ): Promise<void> {
    using found = await openDirectory(directory);
    assert.equal(recognizeFormat(found)?.[0], format);
    using reading = await FORMATS[format]!.open(directory);
    assert.deepEqual(await Array.fromAsync(verifyReading(reading, { source })), []);
    more(reading);
  }
});

Deno.test("gptq checkpoints: a last group with fewer inputs and permuted groups have values", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await plainModel(chain);
  const written = await exportedAs(chain, model, "gptq_v2", { zero: "pre_scale" });
  using source = await openSource(written.model.path);
  const original = await source.linear(Q);
  // The groups of q_proj change places two by two: their scales and zero points stay where they are.
  const swapped = await edited(written.path, await chain.directory(), {
    tensors: (tensors) => {
      const part = tensors.get(`${Q}.g_idx`)!;
      const index = new Int32Array(part.bytes.slice().buffer as ArrayBuffer);
      index.forEach((group, input) => void (index[input] = group ^ 1));
      tensors.set(`${Q}.g_idx`, { ...part, bytes: bytesOf(index) });
    },
  });
  using reading = await FORMATS.gptq_v2!.open(swapped);
  await assert.rejects(() => reading.linear(Q), /codes to dequantize/);
  // Sound as it is, but not the model it was made from.
  assert.deepEqual(await Array.fromAsync(verifyReading(reading)), []);
  const [breach, ...more] = await Array.fromAsync(verifyReading(reading, { source }));
  assert.deepEqual([breach?.tensor, more], [Q, []]);
  const got = await reading.values!(Q, { start: 3, end: 5 });
  const expected = new Float32Array(got.length);
  for (let at = 0; at < got.length; at++) {
    const [row, input] = [3 + Math.floor(at / 128), at % 128];
    const group = 4 * row + (Math.floor(input / 32) ^ 1);
    const code = original.codes[row * 128 + input]!;
    expected[at] = (code - original.zeros![group]!) * original.scales[group]!;
  }
  assert.deepEqual(got, expected);
  assert.deepEqual(await reading.values!(K), codedValues(await source.linear(K)));
  // Three groups of 48 for 128 inputs: the last one has 32.
  const uneven = await edited(written.path, await chain.directory(), {
    config: { group_size: 48 },
    tensors: (tensors) => {
      for (const name of [...tensors.keys()].filter((name) => name.endsWith(".g_idx"))) {
        const linear = name.replace(/g_idx$/, "");
        const { shape: [columns = 0] } = tensors.get(name)!;
        const groups = Math.ceil(columns / 48);
        const index = Int32Array.from({ length: columns }, (_, input) => Math.floor(input / 48));
        tensors.set(name, { dtype: "I32", shape: [columns], bytes: bytesOf(index) });
        for (const part of ["scales", "qzeros"]) {
          const { dtype, shape: [, wide = 0], bytes } = tensors.get(linear + part)!;
          const row = bytes.length / (columns / 32);
          const shape = [groups, wide];
          tensors.set(linear + part, { dtype, shape, bytes: bytes.subarray(0, groups * row) });
        }
      }
    },
  });
  using parted = await FORMATS.gptq_v2!.open(uneven);
  assert.deepEqual(parted.problems, []);
  await assert.rejects(
    () => parted.linear(Q),
    /q_proj\.scales": the last group has 32 inputs, expected 48 as the others; .*dequantize/,
  );
  const values = await parted.values!(Q, { start: 9, end: 10 });
  for (const input of [0, 47, 48, 95, 96, 127]) {
    const group = 4 * 9 + Math.floor(input / 48);
    const code = original.codes[9 * 128 + input]!;
    assert.equal(values[input], (code - original.zeros![group]!) * original.scales[group]!);
  }
});

Deno.test("gptq and awq exports say what they are to the engines", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = await plainModel(chain);
  const skips = ["down_proj"];
  const gptq = await exportedAs(chain, model, "gptq", { zero: "none", skips });
  const config = JSON.parse(await Deno.readTextFile(`${gptq.path}/config.json`));
  const { dynamic, modules_in_block_to_quantize, ...said } = config.quantization_config;
  assert.deepEqual(said, {
    quant_method: "gptq",
    bits: 4,
    group_size: 32,
    sym: true,
    desc_act: false,
    checkpoint_format: "gptq",
    lm_head: false,
    pack_dtype: "int32",
  });
  const beside = JSON.parse(await Deno.readTextFile(`${gptq.path}/quantize_config.json`));
  assert.deepEqual(beside, config.quantization_config);
  const [kept] = modules_in_block_to_quantize as string[][];
  assert.deepEqual(kept?.filter((name) => name.startsWith("mlp")), [
    "mlp.gate_proj",
    "mlp.up_proj",
  ]);
  const [rule] = Object.keys(dynamic);
  const matches = (name: string) => new RegExp(`^${rule!.slice(2)}`).test(name);
  assert.ok(rule!.startsWith("-:") && matches("model.layers.1.mlp.down_proj") && !matches(Q));
  const awq = await exportedAs(chain, model, "auto_awq", { zero: "pre_scale", skips });
  assert.deepEqual(
    JSON.parse(await Deno.readTextFile(`${awq.path}/config.json`)).quantization_config,
    {
      quant_method: "awq",
      bits: 4,
      group_size: 32,
      zero_point: true,
      version: "gemm",
      modules_to_not_convert: ["mlp.down_proj"],
    },
  );
  using source = await openSource(gptq.model.path);
  assert.match(refusal("tinychat", source.subject), /down_proj .* is in full precision, expected/);
  const { linears: all } = source.subject.record;
  assert.match(
    refusal("gptq", subjectWith(source.subject, { ...all, [Q]: scheme({ group: 64 }) })),
    /its linears are W4 g64 none and W4 g32 none, expected one precision for all/,
  );
  const { [K]: _, ...fewer } = all;
  assert.match(
    refusal("gptq", subjectWith(source.subject, fewer)),
    /layers\.0\.self_attn\.k_proj is in full precision and .*layers\.1\.self_attn\.k_proj is not, expected/,
  );
  assert.match(
    refusal("auto_awq", subjectWith(source.subject, { [Q]: scheme({ bits: 3 }) })),
    /q_proj has 3 bits, expected 4/,
  );
  assert.match(
    refusal("gptq", subjectWith(source.subject, { [Q]: scheme({ zero: "post_scale" }) })),
    /q_proj has zero post_scale, expected none or pre_scale where it is quantized/,
  );
  assert.match(refusal("auto_awq", subjectWith(source.subject, {})), /no linear is quantized/);
  const params = {
    method: "gptq",
    inputs: "quantized",
    gptq: { damping: 0.02, activation_order: true },
  };
  const { record } = source.subject;
  const found = {
    ...source.subject,
    record: { ...record, history: [{ stage: "quantize", params }] },
  };
  const { damp_percent, static_groups, true_sequential } = gptqConfig(found, 1);
  assert.deepEqual([damp_percent, static_groups, true_sequential], [0.02, true, true]);
  const engines = (format: string, zero: WeightScheme["zero"], engine: string) =>
    FORMATS[format]!.engines(subjectWith(source.subject, { [Q]: scheme({ zero }) }), OPTIONS)
      .find((each) => each.engine === engine)!.limits.join();
  assert.match(engines("gptq", "pre_scale", "gptqmodel"), /export to gptq_v2/);
  assert.doesNotMatch(engines("gptq_v2", "pre_scale", "gptqmodel"), /refuses/);
  assert.match(engines("gptq", "pre_scale", "vllm"), /zero none alone/);
  assert.equal(engines("gptq", "none", "vllm"), "");
});

async function plainModel(chain: StageChain): Promise<Artifact<"model">> {
  const family = SHAPED.find((name) => name.startsWith("llama_wide"))!;
  return await writeShaped(family, await chain.directory());
}

/** A model in 4-bit codes with groups of 32, in a format. */
async function exportedAs(
  chain: StageChain,
  plain: Artifact<"model">,
  format: string,
  { zero, skips = [] }: { readonly zero: string; readonly skips?: readonly string[] },
): Promise<{ readonly path: string; readonly model: Artifact }> {
  const weights = { bits: 4, zero, group: 32 };
  const model = await chain.run(quantize, { model: plain }, { method: "rtn", weights, skips });
  const { path } = await chain.run(exportModel, { model, reports: [] }, { format });
  return { path, model };
}

function scheme(weights: Partial<WeightScheme>): LinearScheme {
  return { weights: { bits: 4, zero: "none", group: 32, levels: 1, ...weights } };
}

function subjectWith(subject: Subject, linears: Readonly<Record<string, LinearScheme>>): Subject {
  return {
    ...subject,
    record: { ...subject.record, linears },
    linears: subject.linears.map((linear) => ({ ...linear, scheme: linears[linear.name] })),
  };
}

function refusal(format: string, subject: Subject): string {
  return FORMATS[format]!.refusals(subject, OPTIONS).map(({ text }) => text).join("\n");
}
