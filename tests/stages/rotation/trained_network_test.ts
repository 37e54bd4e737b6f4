import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import type { Device } from "../../../kernels/device/device.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import type { ModelFiles } from "../../../stages/models/family.ts";
import { FileKeeper } from "../../../stages/models/stream_entries.ts";
import { openSafetensors } from "../../../stages/formats/safetensors/file.ts";
import { LayerStreams } from "../../../stages/rotation/layer_streams.ts";
import { firstRotations } from "../../../stages/rotation/learned_rotations.ts";
import { TrainedNetwork, type TrainingOptions } from "../../../stages/rotation/trained_network.ts";
import { ENGINES } from "../../support/devices.ts";

const ORACLE = fileURLToPath(new URL("../../testdata/spinquant.st", import.meta.url));
const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

const NOTHING = { inputs: undefined, byHead: false, kv: undefined };
const ASYMMETRIC = { bits: 4, zero: "pre_scale" } as const;
/** As tests/oracle/spinquant.py names them. */
const SCHEMES = {
  nothing: NOTHING,
  recipe: { inputs: { bits: 4, zero: "none" }, byHead: false, kv: ASYMMETRIC },
  upstream: { inputs: ASYMMETRIC, byHead: true, kv: ASYMMETRIC },
} as const;

/** What the network loses on the oracle's first windows, from matrices without random signs. */
async function lost(device: Device, options: Partial<TrainingOptions>) {
  using files = await openModel(EMBEDDED);
  using network = networkOf(device, files, options);
  const first = firstRotations(files.architecture.config, undefined);
  return await network.gradients(first, await windowsOf());
}

function networkOf(device: Device, files: ModelFiles, options: Partial<TrainingOptions>) {
  return new TrainedNetwork(device, files, {
    schemes: NOTHING,
    weightBytes: Infinity,
    streams: new LayerStreams(undefined),
    signal: new AbortController().signal,
    ...options,
  });
}

async function windowsOf(): Promise<Uint32Array[]> {
  using oracle = await openSafetensors(ORACLE);
  const [, context = 0] = oracle.tensors.get("calibration")!.shape;
  const ids = Uint32Array.from(await oracle.read("calibration"), Number);
  return [ids.subarray(0, context), ids.subarray(context, 2 * context)];
}

async function expected(name: string): Promise<Float32Array> {
  using oracle = await openSafetensors(ORACLE);
  return await oracle.read(name) as Float32Array;
}

/** The difference of two gradients, relative to the second. */
function distance(got: Float32Array, expected: Float32Array): number {
  assert.equal(got.length, expected.length);
  let [error, size] = [0, 0];
  expected.forEach((value, i) => {
    error += (got[i]! - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(error / size);
}

for (const [on, open] of Object.entries(ENGINES)) {
  Deno.test(`the gradients of rotations are autograd's through the whole network on ${on}`, async () => {
    await using device = await open();
    const { loss, gradients } = await lost(device, { schemes: SCHEMES.nothing });
    const [plain = NaN] = await expected("nothing.loss");
    assert.ok(Math.abs(loss - plain) < 1e-5, `${loss}, ${plain}`);
    const residual = distance(gradients.residual, await expected("nothing.residual"));
    assert.ok(residual < 2e-5, `${residual}`);
    for (const [layer, head] of gradients.heads.entries()) {
      const error = distance(head, await expected(`nothing.heads.${layer}`));
      assert.ok(error < 2e-5, `R2 of layer ${layer}: ${error}`);
    }
  });
}

Deno.test("rounding lets gradients through, as straight-through autograd has it", async () => {
  await using device = await Cpu.open();
  const { loss, gradients } = await lost(device, { schemes: SCHEMES.upstream });
  const [rounded = NaN] = await expected("upstream.loss");
  // A value between two codes that falls the other way moves all behind it: the oracle's own gradients
  // move by a tenth where its first matrix moves by 1e-7.
  assert.ok(Math.abs(loss - rounded) < 0.01 * rounded, `${loss}, ${rounded}`);
  const residual = distance(gradients.residual, await expected("upstream.residual"));
  assert.ok(residual < 0.1, `${residual}`);
  const head = distance(gradients.heads[0]!, await expected("upstream.heads.0"));
  assert.ok(head < 0.1, `${head}`);
  // The test could tell: without rounding gradients are further away.
  const plain = distance(await expected("nothing.residual"), await expected("upstream.residual"));
  assert.ok(plain > 2 * residual, `${plain}, ${residual}`);
});

Deno.test("without rounding no rotation is better than another: gradients have no skew part", async () => {
  await using device = await Cpu.open();
  using files = await openModel(EMBEDDED);
  const { hidden } = files.architecture.config;
  const { residual } = firstRotations(files.architecture.config, undefined);
  const skewOf = (gradient: Float32Array) => {
    const along = new Float64Array(hidden * hidden);
    for (let i = 0; i < hidden; i++) {
      for (let k = 0; k < hidden; k++) {
        const factor = residual[k * hidden + i]!;
        for (let j = 0; j < hidden; j++) {
          along[i * hidden + j]! += factor * gradient[k * hidden + j]!;
        }
      }
    }
    let [skew, size] = [0, 0];
    along.forEach((value, at) => {
      const other = along[at % hidden * hidden + Math.floor(at / hidden)]!;
      skew += (value - other) ** 2;
      size += value ** 2;
    });
    return Math.sqrt(skew / size);
  };
  const plain = await lost(device, { schemes: SCHEMES.nothing });
  assert.ok(skewOf(plain.gradients.residual) < 1e-5);
  const rounded = await lost(device, { schemes: SCHEMES.recipe });
  assert.ok(skewOf(rounded.gradients.residual) > 1e-2, "the test could not tell");
});

Deno.test("a loss without gradients is that beside them, and clips inputs where it is told to", async () => {
  await using device = await Cpu.open();
  const inputs = { bits: 4, zero: "none", clip: 0.9 } as const;
  const schemes = { ...SCHEMES.recipe, inputs };
  const [clipped, whole] = [
    await lost(device, { schemes }),
    await lost(device, { schemes: SCHEMES.recipe }),
  ];
  assert.ok(Math.abs(clipped.loss - whole.loss) > 1e-4, `${clipped.loss}, ${whole.loss}`);
  using files = await openModel(EMBEDDED);
  using network = networkOf(device, files, { schemes });
  const first = firstRotations(files.architecture.config, undefined);
  assert.equal(await network.loss(first, await windowsOf()), clipped.loss);
});

Deno.test("layers that come and go, and streams on disk, give the same bits", async () => {
  await using device = await Cpu.open();
  const directory = await Deno.makeTempDir();
  try {
    await using keeper = new FileKeeper(`${directory}/streams`);
    let passed = 0;
    const schemes = SCHEMES.recipe;
    const all = await lost(device, { schemes, passed: () => passed++ });
    assert.equal(passed, 2 * 2 * 4, "two windows through four layers, there and back");
    const streams = new LayerStreams(keeper);
    assert.deepEqual(await lost(device, { schemes, weightBytes: 0, streams }), all);
    assert.ok([...Deno.readDirSync(`${directory}/streams`)].length > 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
