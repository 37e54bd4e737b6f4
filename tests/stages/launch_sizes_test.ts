import { strict as assert } from "node:assert";
import { CountingDevice } from "../../kernels/device/counting.ts";
import { type Limits, PROMISED_LIMITS, USUAL_LIMITS } from "../../kernels/device/limits.ts";
import { elements, type TensorSpec } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { PRECISIONS } from "../../stages/benchmark/precisions.ts";
import { randomModel } from "../../stages/benchmark/random_model.ts";
import { SHAPES } from "../../stages/benchmark/shapes.ts";
import { calibrate, evaluate, quantize } from "../../stages/mod.ts";

/** Two seconds, which Windows gives, at half a TOP/s: less than any card of the last ten years. */
const MOST_OPERATIONS = 1e12;
const NAMES = new Map<unknown, string>(
  Object.entries(kernels).map(([name, kernel]) => [kernel, name]),
);

type Specs = Readonly<Record<string, TensorSpec | undefined>>;
type Options = Readonly<Record<string, number | undefined>>;

/** The operations of the largest launch of each kernel in what a forecast walks over. */
async function largestOf(work: () => Promise<unknown>): Promise<Map<string, number>> {
  const largest = new Map<string, number>();
  const { run } = CountingDevice.prototype;
  const launch = run as unknown as (...given: unknown[]) => Specs;
  CountingDevice.prototype.run = function (this: CountingDevice, ...given: unknown[]) {
    const [kernel, inputs, options] = given as [unknown, Specs, Options];
    const made = launch.apply(this, given);
    const name = NAMES.get(kernel)!;
    const operations = operationsOf(name, { ...inputs, ...made }, options);
    largest.set(name, Math.max(largest.get(name) ?? 0, operations));
    return made;
  } as unknown as typeof run;
  try {
    await work();
  } finally {
    CountingDevice.prototype.run = run;
  }
  return largest;
}

function operationsOf(name: string, specs: Specs, { begin = 0, end, rows }: Options): number {
  const [height = 0, width = 0, size = 1] = (specs.x ?? specs.q)?.shape ?? [];
  if (name.startsWith("matmul")) {
    const inner = width * (specs.x!.dtype === "u32" ? 4 : 1);
    return 2 * height * ((end ?? inner) - begin) * (rows ?? specs.weight!.shape[0]!);
  }
  if (name === "gram") return 2 * height * elements(specs.sum!.shape);
  // Queries and keys of a window, all of which are counted.
  if (name === "attention") return 4 * height * specs.k!.shape[0]! * width * size;
  // A block's columns meet those behind it.
  if (name.startsWith("gptq")) return 2 * elements(specs.weight!.shape) * 256;
  if (name === "choleskyPanel") return 2 * elements(specs.panel!.shape) * 256;
  const values = Object.values(specs).map((spec) => spec ? elements(spec.shape) : 0);
  return 256 * Math.max(...values);
}

for (
  const [where, limits] of [["usual limits", USUAL_LIMITS], [
    "WebGPU's default limits",
    PROMISED_LIMITS,
  ]] as const
) {
  Deno.test(`no launch of a stage at 70B sizes is so large that a card's system would end it, with ${where}`, async () => {
    const { architecture: { config }, record, tensors } = randomModel(
      SHAPES["llama-2-70b"],
      PRECISIONS.f16,
    );
    const model = {
      config: SHAPES["llama-2-70b"],
      tensors,
      record,
      textBytes: 1e5,
      lineageBytes: 0,
      tokenizer: undefined,
    };
    assert.equal(config.hidden, 8192);
    const bounds: { memoryBytes: number; limits: Limits } = { memoryBytes: 64e9, limits };
    // Windows of 2,048 tokens in evaluation, as papers have them.
    const tokens = { count: 4096 };
    const stats = {
      windows: 2,
      context: 1024,
      rows: 64,
      attentionWindows: 0,
      gram: ["attention.in", "attention.out", "mlp.in", "mlp.out"],
    };
    const found = await largestOf(async () => {
      const windows = evaluate.params.parse({ context: 2048, windows: 2 });
      await evaluate.forecast!({ model, tokens } as never, windows, bounds as never);
      const samples = calibrate.params.parse({ context: 1024, windows: 2, gram: true });
      await calibrate.forecast!({ model, tokens } as never, samples as never, bounds as never);
      const params = quantize.params.parse({
        method: "gptq",
        weights: { bits: 4, zero: "post_scale", group: 128, levels: 2 },
        activations: "dynamic",
        inputs: "quantized",
        shift: {},
      });
      await quantize.forecast!({ model, stats, tokens } as never, params as never, bounds as never);
    });
    for (const name of ["matmul", "gram", "attention", "gptqPanel", "choleskyPanel"]) {
      assert.ok(found.has(name), `${name} is not among ${[...found.keys()]}`);
    }
    for (const [name, operations] of found) {
      assert.ok(operations < MOST_OPERATIONS, `${name} takes ${operations} operations in a launch`);
    }
  });
}
