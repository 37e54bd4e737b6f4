import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { load } from "../../stages/load.ts";
import { forgetful } from "../support/journal_stub.ts";

const SOURCE = fileURLToPath(new URL("../testdata/families/qwen2_tied", import.meta.url));
const UP = "model.layers.1.mlp.up_proj.weight";

interface Change {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly leaveOut?: string;
  readonly spoil?: (name: string, values: Float32Array) => void;
}

Deno.test("load keeps matrices in half and vectors in single precision", async () => {
  await withCheckpoint({}, async (path, out) => {
    await runLoad(path, out, "float16");
    using before = await openCheckpoint(path);
    using after = await openCheckpoint(out);
    assert.deepEqual([...after.tensors.keys()].sort(), [...before.tensors.keys()].sort());
    for (const { name, shape } of before.tensors.values()) {
      const wanted = await before.read(name);
      const expected = shape.length > 1 ? Float32Array.from(new Float16Array(wanted)) : wanted;
      assert.deepEqual(await after.read(name), expected, name);
    }
  });
});

const PROBLEMS: readonly (readonly [what: string, change: Change, message: RegExp])[] = [
  ["a tensor is missing", { leaveOut: UP }, new RegExp(`tensor "${UP}" is missing`)],
  [
    "a shape is wrong",
    { config: { intermediate_size: 80 } },
    /up_proj\.weight" in .*model\.safetensors is \[72, 64\], expected \[80, 64\]/,
  ],
  [
    "a weight is NaN",
    { spoil: (name, values) => void (name === UP && (values[5] = NaN)) },
    new RegExp(`${UP.replaceAll(".", "\\.")}.*model\\.safetensors|model\\.safetensors.*${UP}`),
  ],
  [
    "a weight does not fit half precision",
    { spoil: (name, values) => void (name === UP && (values[5] = 1e6)) },
    /a value is 1000000, expected at most 65504; set dtype to float32/,
  ],
  [
    "the architecture is unknown",
    { config: { architectures: ["FalconForCausalLM"] } },
    /architecture "FalconForCausalLM": expected .*LlamaForCausalLM, .*MistralForCausalLM, .*Phi3/,
  ],
  [
    "rope scaling is unknown",
    { config: { rope_parameters: null, rope_scaling: { rope_type: "ntk", factor: 4 } } },
    /rope scaling is "ntk", expected one of default, linear, dynamic, yarn, longrope, llama3/,
  ],
];

for (const [what, change, message] of PROBLEMS) {
  Deno.test(`load says so when ${what}`, async () => {
    await withCheckpoint(change, async (path, out) => {
      await assert.rejects(() => runLoad(path, out, "float16"), message);
    });
  });
}

async function runLoad(path: string, out: string, dtype: "float16" | "float32"): Promise<void> {
  const tools = { device: () => Promise.reject(new Error("no device here")), memoryBytes: 2 ** 30 };
  const signal = new AbortController().signal;
  const job = { tools, out, signal, journal: forgetful, progress: () => {}, note: () => {} };
  await load.run(job, {}, { model: path, dtype });
}

/** A copy of a small checkpoint with something changed, and an empty directory. */
async function withCheckpoint(
  { config = {}, leaveOut, spoil }: Change,
  test: (path: string, out: string) => Promise<void>,
): Promise<void> {
  const [path, out] = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  try {
    using source = await openCheckpoint(SOURCE);
    const specs = [...source.tensors.values()].filter(({ name }) => name !== leaveOut)
      .map(({ name, shape }) => ({ name, shape, dtype: "F32" } as const));
    using writer = await createCheckpointWriter(path, specs);
    for (const { name } of specs) {
      const values = await source.read(name);
      spoil?.(name, values);
      await writer.write(name, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
    await writer.close();
    const json = JSON.stringify({ ...source.config as object, ...config });
    await Deno.writeTextFile(`${path}/config.json`, json);
    await test(path, out);
  } finally {
    await Deno.remove(path, { recursive: true });
    await Deno.remove(out, { recursive: true });
  }
}
