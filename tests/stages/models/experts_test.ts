import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import type { Device } from "../../../kernels/device/device.ts";
import { f32, u32 } from "../../../kernels/device/tensor.ts";
import { embed } from "../../../kernels/mod.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { Experts } from "../../../stages/models/experts.ts";
import { ENGINES } from "../../support/devices.ts";
import {
  type CopiedTensor,
  copyFamily,
  familyLogits,
  logitsHere,
} from "../../support/family_copy.ts";
import { relativeError } from "../../support/forward_pass.ts";
import { normals } from "../../support/random.ts";
import { StageChain } from "../../support/stage_chain.ts";

/** Takes tensors out, whose bytes become one tensor of three axes. */
function stack(
  tensors: Map<string, CopiedTensor>,
  name: string,
  parts: readonly string[],
  experts: number,
): void {
  const all = parts.map((part) => tensors.get(part)!);
  for (const part of parts) tensors.delete(part);
  const rows = all.reduce((sum, { shape }) => sum + shape[0]!, 0);
  tensors.set(name, {
    dtype: "F32",
    shape: [experts, rows / experts, all[0]!.shape[1]!],
    bytes: Uint8Array.from(all.flatMap(({ bytes }) => [...bytes])),
  });
}

for (
  const [family, experts, block, [gate, up, down]] of [
    ["mixtral_window", 4, "block_sparse_moe", ["w1", "w3", "w2"]],
    ["qwen3_moe_normalized", 8, "mlp", ["gate_proj", "up_proj", "down_proj"]],
  ] as const
) {
  Deno.test(`${family} whose experts lie one below the other has the same logits`, async () => {
    await using chain = await StageChain.open();
    const path = await chain.directory();
    await copyFamily(path, family, {
      edit(tensors) {
        for (const layer of [0, 1]) {
          const at = `model.layers.${layer}`;
          const each = (names: readonly string[]) =>
            Array.from(
              { length: experts },
              (_, expert) => names.map((name) => `${at}.${block}.experts.${expert}.${name}.weight`),
            ).flat();
          stack(tensors, `${at}.mlp.experts.gate_up_proj`, each([gate, up]), experts);
          stack(tensors, `${at}.mlp.experts.down_proj`, each([down]), experts);
          if (block === "mlp") continue;
          tensors.set(`${at}.mlp.gate.weight`, tensors.get(`${at}.${block}.gate.weight`)!);
          tensors.delete(`${at}.${block}.gate.weight`);
        }
      },
    });
    const { logits } = await familyLogits(family);
    assert.ok(relativeError(await logitsHere(path, family), logits) < 2e-5);
  });
}

/** What the experts of a family's first layer that has them make of some rows. */
async function madeOn(device: Device, family: string, tokens: number): Promise<Float32Array> {
  await using chain = await StageChain.open();
  using files = await openModel(chain.family(family).path);
  const { layers, config: { hidden } } = files.architecture;
  const layer = layers.find(({ sites }) => sites.some(({ routers }) => routers))!;
  using experts = await Experts.load(device, files, layer);
  const source = normals(family);
  const x = Float32Array.from({ length: 200 * hidden }, () => source.next().value);
  using input = device.upload(f32([tokens, hidden], x.subarray(0, tokens * hidden)));
  using made = experts.run(device, input, undefined);
  return (await device.read(made)).data as Float32Array;
}

for (const family of ["mixtral_three_of_six", "qwen2_moe_shared"]) {
  Deno.test(`experts of ${family} give a token the same bits whatever runs beside it`, async () => {
    for (const open of Object.values(ENGINES)) {
      await using device = await open();
      const many = await madeOn(device, family, 200);
      for (const tokens of [1, 2, 7, 33]) {
        const few = await madeOn(device, family, tokens);
        assert.deepEqual(few, many.slice(0, few.length), `${tokens} tokens`);
      }
    }
  });

  Deno.test(`experts of ${family} on record do what they do at once`, async () => {
    for (const open of Object.values(ENGINES)) {
      await using device = await open();
      await using chain = await StageChain.open();
      using files = await openModel(chain.family(family).path);
      const { layers, config: { hidden } } = files.architecture;
      using experts = await Experts.load(device, files, layers[0]!);
      const shape = [3, hidden];
      const source = normals(`rows for ${family}`);
      const rows = () =>
        f32(shape, Float32Array.from({ length: 3 * hidden }, () => source.next().value));
      using table = device.upload(rows());
      using ids = device.upload(u32([3], [0, 1, 2]));
      using recording = await device.record(() => {
        using input = device.empty({ dtype: "f32", shape });
        device.run(embed, { tokens: ids, embeddings: table, y: input }, {});
        return Promise.resolve([experts.run(device, input, undefined)]);
      });
      for (let turn = 0; turn < 3; turn++) {
        // Other rows go to other experts, and the host decides nothing.
        const given = rows();
        device.write(table, given);
        recording.replay();
        const got = (await device.read(recording.outputs[0]!)).data;
        using input = device.upload(given);
        using made = experts.run(device, input, undefined);
        assert.deepEqual(got, (await device.read(made)).data, `turn ${turn}`);
      }
    }
  });
}

Deno.test("the host's reference agrees with engines on what experts make", async () => {
  await using reference = new ReferenceDevice();
  await using engine = await Cpu.open();
  const expected = await madeOn(reference, "qwen2_moe_shared", 40);
  assert.ok(relativeError(await madeOn(engine, "qwen2_moe_shared", 40), expected) < 1e-5);
});
