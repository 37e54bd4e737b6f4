import { strict as assert } from "node:assert";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { EMBEDDED } from "../../stages/models/checkpoint_place.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { createCheckpointWriter } from "../../stages/formats/checkpoint_writer.ts";
import { stories } from "../../stages/data/stories.ts";
import { Model } from "../../stages/models/model.ts";
import { openTokenizer } from "../../stages/models/tokenizer.ts";
import { logitsOf, relativeError } from "../support/forward_pass.ts";

interface Planted {
  readonly norms: readonly {
    readonly norm: string;
    readonly consumers: readonly string[];
    readonly channels: readonly number[];
    readonly factor: number;
  }[];
  readonly keys: readonly {
    readonly layer: number;
    readonly head: number;
    readonly pairs: readonly number[];
    readonly factor: number;
  }[];
}

Deno.test("the embedded model computes the same with its outliers taken out", async () => {
  const planted: Planted = JSON.parse(await Deno.readTextFile(`${EMBEDDED}/planted.json`));
  assert.ok(planted.norms.length > 0 && planted.keys.length > 0);
  const plain = await Deno.makeTempDir();
  try {
    await writeUnplanted(planted, plain);
    const ids = await someTokens(96);
    await using device = await Cpu.open();
    using withOutliers = await Model.open(EMBEDDED, device, { weightBytes: Infinity });
    using without = await Model.open(plain, device, { weightBytes: Infinity });
    const expected = await logitsOf(device, without, ids);
    const error = relativeError(await logitsOf(device, withOutliers, ids), expected);
    assert.ok(error < 1e-5, `relative error is ${error}`);
  } finally {
    await Deno.remove(plain, { recursive: true });
  }
});

Deno.test("the embedded model has channels that stand out by more than ten times", async () => {
  using checkpoint = await openCheckpoint(EMBEDDED);
  for (const name of ["input_layernorm", "post_attention_layernorm"]) {
    const gains = (await checkpoint.read(`model.layers.1.${name}.weight`)).map(Math.abs).sort();
    const median = gains[gains.length / 2]!;
    assert.ok(gains.at(-1)! > 10 * median, `${name}: ${gains.at(-1)} over ${median}`);
  }
});

async function someTokens(count: number): Promise<number[]> {
  using checkpoint = await openCheckpoint(EMBEDDED);
  const text = stories({ split: "test", bytes: 4000 });
  return openTokenizer(checkpoint.tokenizer!).encode(text).slice(0, count);
}

/** Divides what was multiplied and the other way round; every factor is a power of two. */
async function writeUnplanted(planted: Planted, directory: string): Promise<void> {
  using checkpoint = await openCheckpoint(EMBEDDED);
  const config = checkpoint.config as Record<string, number>;
  const size = config.head_dim!;
  const group = config.num_attention_heads! / config.num_key_value_heads!;
  const specs = [...checkpoint.tensors.values()]
    .map(({ name, shape }) => ({ name, dtype: "F32", shape } as const));
  using writer = await createCheckpointWriter(directory, specs);
  for (const { name, shape } of specs) {
    const values = await checkpoint.read(name);
    const columns = shape.at(-1)!;
    for (const { norm, consumers, channels, factor } of planted.norms) {
      for (const channel of channels) {
        // A norm's gain has one value a channel, the up projection a row.
        const width = shape.length > 1 ? columns : 1;
        if (name === norm) {
          for (let at = 0; at < width; at++) values[channel * width + at]! /= factor;
        }
        if (!consumers.includes(name)) continue;
        for (let at = channel; at < values.length; at += columns) values[at]! *= factor;
      }
    }
    for (const { layer, head, pairs, factor } of planted.keys) {
      const rows = (at: number) => pairs.flatMap((pair) => [at + pair, at + pair + size / 2]);
      const scale = (row: number, by: number) => {
        for (let c = 0; c < columns; c++) values[row * columns + c]! *= by;
      };
      const attention = `model.layers.${layer}.self_attn`;
      if (name === `${attention}.k_proj.weight`) {
        for (const row of rows(head * size)) scale(row, 1 / factor);
      }
      if (name === `${attention}.q_proj.weight`) {
        for (let query = head * group; query < (head + 1) * group; query++) {
          for (const row of rows(query * size)) scale(row, factor);
        }
      }
    }
    await writer.write(name, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  await writer.close();
  await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(checkpoint.config));
}
