import { strict as assert } from "node:assert";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import { exportModel } from "../../stages/export.ts";
import { bytesOf, toBrain } from "../../stages/formats/half.ts";
import { fold } from "../../stages/fold.ts";
import { load } from "../../stages/load.ts";
import { quantize } from "../../stages/quantize.ts";
import {
  type CopiedTensor,
  copyFamily,
  familyLogits,
  logitsHere,
  valuesOf,
} from "../support/family_copy.ts";
import { relativeError } from "../support/forward_pass.ts";
import { StageChain } from "../support/stage_chain.ts";

const FAMILY = "llama_wide_heads";
const GAIN = "model.layers.0.input_layernorm.weight";
const Q = "model.layers.0.self_attn.q_proj.weight";

/**
 * Makes what reads a norm smaller and its gain as much larger, so that the model stays the same: what
 * bfloat16 holds as well, and half precision does not.
 */
function scaled(power: number, dtype: "F32" | "BF16" = "F32") {
  return (tensors: Map<string, CopiedTensor>) => {
    for (const [name, tensor] of tensors) {
      const factor = name === GAIN
        ? 2 ** power
        : /layers\.0\..*[qkv]_proj/.test(name)
        ? 2 ** -power
        : 1;
      const values = valuesOf(tensor).map((value) => value * factor);
      const bytes = bytesOf(dtype === "BF16" ? toBrain(values) : values);
      tensors.set(name, { ...tensor, dtype, bytes });
    }
  };
}

Deno.test("values below half precision are refused with counts, and kept in single precision", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { logits } = await familyLogits(FAMILY);
  for (const power of [14, 20, 40, 100]) {
    const path = await chain.directory();
    await copyFamily(path, FAMILY, { edit: scaled(power) });
    await chain.refuses(load, {
      inputs: {},
      params: { model: path },
      message:
        /^Cannot keep tensor "model\.layers\.0\.self_attn\.q_proj\.weight" in half precision: \d+ values lie below .* set dtype to float32 where it is loaded$/,
    });
    const kept = await chain.run(load, {}, { model: path, dtype: "float32" });
    assert.ok(relativeError(await logitsHere(kept.path, FAMILY), logits) < 2e-5, `2^-${power}`);
  }
});

Deno.test("values in bfloat16 below half precision are refused, others are not", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const [small, plain] = [await chain.directory(), await chain.directory()];
  await copyFamily(small, FAMILY, { edit: scaled(30, "BF16") });
  await copyFamily(plain, FAMILY, { edit: scaled(0, "BF16") });
  await chain.refuses(load, { inputs: {}, params: { model: small }, message: /expected larger/ });
  await chain.run(load, {}, { model: plain });
  assert.equal(chain.notes.length, 1, chain.notes.join("\n"));
});

Deno.test("an output that is small by itself is refused, a token's row is told of", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const shrunk = async (name: string, factor: number) => {
    const path = await chain.directory();
    await copyFamily(path, FAMILY, {
      edit: (tensors) => {
        const values = valuesOf(tensors.get(name)!);
        for (let i = 0; i < 64; i++) values[i]! *= factor;
        tensors.set(name, { ...tensors.get(name)!, bytes: bytesOf(values) });
      },
    });
    return path;
  };
  const model = await shrunk(Q, 2 ** -20);
  await chain.refuses(load, { inputs: {}, params: { model }, message: /in 1 rows without/ });
  await chain.run(load, {}, { model: await shrunk("model.embed_tokens.weight", 2 ** -60) });
  assert.match(chain.notes[0]!, /^1 rows of "model\.embed_tokens\.weight" are all but zero; half /);
});

Deno.test("weights whose scales half precision loses are not quantized, folded ones are", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, FAMILY, { edit: scaled(30) });
  const model = await chain.run(load, {}, { model: path, dtype: "float32" });
  const plain = await chain.run(load, {}, { model: chain.family(FAMILY).path, dtype: "float32" });
  const folded = await chain.run(fold, { model });
  for (const weights of [{ bits: 8, group: "row", zero: "none" }, { bits: 4, group: "row" }]) {
    const params = { method: "rtn", weights };
    const message = /"model\.layers\.0\.self_attn\.q_proj": \d+ of its \d+ scales are too small/;
    await chain.refuses(quantize, { inputs: { model }, params, message });
    const expected = await chain.run(quantize, {
      model: await chain.run(fold, { model: plain }),
    }, params);
    const got = await chain.run(quantize, { model: folded }, params);
    assert.equal(relativeError(await chain.logits(got), await chain.logits(expected)), 0);
  }
});

Deno.test("exports in half precision refuse what loading in half precision does", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const path = await chain.directory();
  await copyFamily(path, FAMILY, { edit: scaled(14) });
  const model = await chain.run(load, {}, { model: path, dtype: "float32" });
  for (const format of ["huggingface", "gguf"]) {
    const inputs = { model, reports: [] };
    const params = { format, dtype: "float16" };
    const message = /q_proj\.weight" in half precision: \d+ values lie below/;
    await chain.refuses(exportModel, { inputs, params, message });
    await chain.run(exportModel, inputs, { format, dtype: "float32" });
  }
});
