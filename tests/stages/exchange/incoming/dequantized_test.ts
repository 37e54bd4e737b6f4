import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { ReferenceDevice } from "../../../../kernels/device/reference.ts";
import { load } from "../../../../stages/load.ts";
import { openCheckpoint } from "../../../../stages/models/open_checkpoint.ts";
import {
  type CopiedTensor,
  copyFamily,
  readTensors,
  valuesOf,
} from "../../../support/family_copy.ts";
import { StageChain } from "../../../support/stage_chain.ts";

const FILE = fileURLToPath(
  new URL("../../../testdata/stored_weights.safetensors", import.meta.url),
);
/** A linear of as many outputs and inputs as the stored weights have. */
const LINEAR = "model.layers.1.self_attn.k_proj";

const fp8 = (more: object) => ({ quant_method: "fp8", fmt: "e4m3", ...more });
const compressed = (weights: object) => ({
  quant_method: "compressed-tensors",
  format: "float-quantized",
  config_groups: {
    group_0: { targets: ["Linear"], weights: { num_bits: 8, type: "float", ...weights } },
  },
});
const bitsandbytes = (type: string) => ({
  quant_method: "bitsandbytes",
  load_in_4bit: true,
  bnb_4bit_quant_type: type,
});

/** What programs say of their weights in `config.json`. */
const CLAIMS: Readonly<Record<string, object>> = {
  block: fp8({ weight_block_size: [8, 32] }),
  ragged: fp8({ weight_block_size: [24, 40] }),
  row: compressed({ strategy: "channel" }),
  e5m2: fp8({}),
  tensor: fp8({ activation_scheme: "static" }),
  nf4: bitsandbytes("nf4"),
  fp4: bitsandbytes("fp4"),
  int8: { quant_method: "bitsandbytes", load_in_8bit: true },
};

for (const [how, quantization_config] of Object.entries(CLAIMS)) {
  Deno.test(`load reads weights stored as ${how} with the values of the program that stored them`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const path = await chain.directory();
    const parts = await partsOf(how);
    const expected = valuesOf(parts.get("expected")!);
    await copyFamily(path, "qwen2_tied", { config: { quantization_config }, edit: storing(parts) });
    const loaded = await chain.run(load, {}, { model: path, dtype: "float32" });
    using checkpoint = await openCheckpoint(loaded.path);
    const got = await checkpoint.read(`${LINEAR}.weight`);
    const at = got.findIndex((value, i) => value !== expected[i]);
    assert.equal(at, -1, `value ${at} is ${got[at]}, expected ${expected[at]}`);
    assert.equal((checkpoint.config as Record<string, unknown>).quantization_config, undefined);
    assert.match(chain.notes[0]!, /^1 linears hold (float8|codes of bitsandbytes); /);
    assert.equal(chain.notes.length, 2, chain.notes.join("\n"));
  });
}

/** Headers that say something else, and what is told of them. */
const FLAWS: readonly (readonly [
  what: string,
  how: string,
  edit: (parts: Map<string, CopiedTensor>) => void,
  message: RegExp,
])[] = [
  [
    "float8 without a scale",
    "row",
    (parts) => void parts.delete("weight_scale"),
    /its "model\.layers\.1\.self_attn\.k_proj\.weight" is float8 without a scale, expected "model\.layers\.1\.self_attn\.k_proj\.weight_scale"/,
  ],
  [
    "scales of blocks that do not divide the weight",
    "row",
    (parts) => {
      const bytes = new Uint8Array(new Float32Array(7).fill(1).buffer);
      parts.set("weight_scale", { dtype: "F32", shape: [7, 1], bytes });
    },
    /weight_scale" of .*: it is \[7, 1\], expected a scale for all, for each of 32 rows, or for equal blocks of \[32, 64\]/,
  ],
  [
    "a 4-bit weight of another size",
    "nf4",
    (parts) =>
      void parts.set("weight", { dtype: "U8", shape: [512, 1], bytes: new Uint8Array(512) }),
    /k_proj\.weight" of .*: it has 512 bytes, expected 1024/,
  ],
  [
    "a 4-bit weight whose state is no JSON",
    "fp4",
    (parts) => void parts.get("weight.quant_state.bitsandbytes__fp4")!.bytes.fill(1),
    /quant_state\.bitsandbytes__fp4" is odd .*, expected a state/,
  ],
  [
    "a 4-bit weight with too few scales",
    "fp4",
    (parts) => {
      const bytes = new Uint8Array(4 * 31);
      parts.set("weight.absmax", { dtype: "F32", shape: [31], bytes });
    },
    /it has 16 values and 31 scales, expected 16 and 32/,
  ],
];

for (const [what, how, edit, message] of FLAWS) {
  Deno.test(`load refuses ${what}`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const path = await chain.directory();
    const parts = await partsOf(how);
    edit(parts);
    const config = { quantization_config: CLAIMS[how] };
    await copyFamily(path, "qwen2_tied", { config, edit: storing(parts) });
    await chain.refuses(load, { inputs: {}, params: { model: path }, message });
  });
}

/** The tensors of one way to store a weight, and its values as `expected`. */
async function partsOf(how: string): Promise<Map<string, CopiedTensor>> {
  return new Map(
    [...await readTensors(FILE)].filter(([name]) => name.startsWith(`${how}/`))
      .map(([name, tensor]) => [name.slice(how.length + 1), tensor]),
  );
}

/** Puts such tensors in the place of a linear's weight. */
function storing(parts: ReadonlyMap<string, CopiedTensor>) {
  return (tensors: Map<string, CopiedTensor>) => {
    for (const [name, tensor] of parts) {
      if (name !== "expected") tensors.set(`${LINEAR}.${name}`, tensor);
    }
  };
}
