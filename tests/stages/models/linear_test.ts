import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import type { Checkpoint, RowRange } from "../../../stages/formats/checkpoint.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { loadLinears } from "../../../stages/models/linear.ts";
import { readModelRecord } from "../../../stages/models/model_record.ts";
import { architectureOf } from "../../../stages/models/architecture.ts";
import { openSiteForm, siteInput } from "../../../stages/models/site_input.ts";
import { quantize } from "../../../stages/quantize.ts";
import { randomTensor } from "../../support/random.ts";
import { StageChain } from "../../support/stage_chain.ts";

const ROWS = 5;
const LAYER = 1;

/** A checkpoint with the tensors of two. */
function either(first: Checkpoint, second: Checkpoint): Checkpoint {
  const of = (name: string) => first.tensors.has(name) ? first : second;
  return Object.assign(Object.create(first), {
    tensors: new Map([...second.tensors, ...first.tensors]),
    read: (name: string, rows?: RowRange) => of(name).read(name, rows),
    readRaw: (name: string, rows?: RowRange) => of(name).readRaw(name, rows),
    config: first.config,
  });
}

for (
  const [words, family, params] of [
    ["float", "qwen2_tied", undefined],
    ["W4A16, one of them float", "qwen2_tied", {
      weights: { bits: 4, group: 8 },
      activations: "none",
    }],
    ["W4A8", "qwen2_tied", { weights: { bits: 4, group: "row" }, activations: "dynamic" }],
    ["W4A8 in groups", "llama_linear_biases", {
      weights: { bits: 4, group: 8, levels: 2 },
      activations: "dynamic",
    }],
    ["W8A8", "llama_llama3_gqa_tied", {
      weights: { bits: 8, zero: "none", group: "row" },
      activations: "dynamic",
    }],
  ] as const
) {
  Deno.test(`linears of a site make together what each makes alone: ${words} of ${family}`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const plain = chain.family(family);
    const { path } = params
      ? await chain.run(quantize, { model: plain }, { method: "rtn", ...params })
      : plain;
    using packed = await openCheckpoint(path);
    using float = await openCheckpoint(plain.path);
    const checkpoint = either(packed, float);
    const record = await readModelRecord(path);
    await using device = await Cpu.open();
    const site = architectureOf(checkpoint.config).layers[LAYER]!.site("attention.in");
    const stored = site.linears.map((linear) => {
      const dense = words.includes("one of them") && linear.role === "k";
      return { ...linear, scheme: dense ? undefined : record.linears[linear.name] };
    });
    const { channels } = site;
    const { inputs } = stored[0]!.scheme ?? {};
    using form = openSiteForm(device, { hadamard: false, channels, inputs });
    using activation = device.upload(randomTensor({ dtype: "f32", shape: [ROWS, channels] }, "x"));
    using input = siteInput(device, activation, { form, whole: true });
    const outputs = async (some: typeof stored) => {
      using linear = await loadLinears(device, checkpoint, some);
      using y = linear.apply(device, input);
      return await device.read(y);
    };
    const together = await outputs(stored);
    let column = 0;
    for (const one of stored) {
      const alone = await outputs([one]);
      const [, width = 0] = alone.shape;
      for (let row = 0; row < ROWS; row++) {
        const from = row * together.shape[1]! + column;
        assert.deepEqual(
          together.data.slice(from, from + width),
          alone.data.slice(row * width, (row + 1) * width),
          `row ${row} of ${one.name}`,
        );
      }
      column += width;
    }
    assert.equal(column, together.shape[1]);
  });
}
