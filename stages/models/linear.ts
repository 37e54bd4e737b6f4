import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import { PackedLinear } from "./packed_linear.ts";
import type { LayerLinear } from "./site.ts";
import type { SiteInput } from "./site_input.ts";
import { type OutputColumns, Weight } from "./weight.ts";

/** Linears of a site, in whatever precision the model artifact holds, that run as one. */
export interface Linear extends Disposable {
  /** Columns of what it makes. */
  readonly outputs: number;
  /** The input of the site to f32 [tokens, outputs of all], those of the first linear first. */
  apply(device: Device, input: SiteInput): Tensor;
}

/** Weights of one kind, one below the other. */
interface Block extends Disposable {
  readonly outputs: number;
  write(device: Device, input: SiteInput, place: OutputColumns): void;
}

/** A linear of a model artifact, with its precision where it is quantized. */
export interface StoredLinear extends LayerLinear {
  readonly scheme: LinearScheme | undefined;
}

/**
 * Reads linears that take the same input onto the device. Neighbours of one scheme become one weight,
 * which takes one launch; others write their columns of the same output.
 */
export async function loadLinears(
  device: Device,
  checkpoint: Checkpoint,
  linears: readonly StoredLinear[],
): Promise<Linear> {
  using stack = new DisposableStack();
  const blocks: Block[] = [];
  for (const run of alike(linears)) {
    const scheme = run[0]!.scheme;
    const names = run.map(({ name, weight }) => scheme ? name : weight);
    blocks.push(stack.use(
      scheme
        ? await PackedLinear.load(device, checkpoint, { names, scheme })
        : denseBlock(await Weight.load(device, checkpoint, names)),
    ));
  }
  const outputs = blocks.reduce((sum, block) => sum + block.outputs, 0);
  const bias = await loadBias(device, checkpoint, linears);
  if (bias) stack.use(bias);
  const owned = stack.move();
  return {
    outputs,
    apply(device, input) {
      const y = device.empty({ dtype: "f32", shape: [input.tokens, outputs] });
      let column = 0;
      for (const block of blocks) {
        block.write(device, input, { y, column, bias });
        column += block.outputs;
      }
      return y;
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Neighbours of the same precision. */
function alike(linears: readonly StoredLinear[]): StoredLinear[][] {
  const runs: StoredLinear[][] = [];
  for (const linear of linears) {
    const run = runs.at(-1);
    const same = run && JSON.stringify(run[0]!.scheme) === JSON.stringify(linear.scheme);
    if (same) run.push(linear);
    else runs.push([linear]);
  }
  return runs;
}

function denseBlock(weight: Weight): Block {
  return {
    outputs: weight.rows,
    write: (device, { x }, place) => weight.write(device, x!, place),
    [Symbol.dispose]: () => weight[Symbol.dispose](),
  };
}

/** The biases of linears one after another, zeros where one has none; undefined without any. */
async function loadBias(
  device: Device,
  checkpoint: Checkpoint,
  linears: readonly StoredLinear[],
): Promise<Tensor | undefined> {
  if (!linears.some(({ bias }) => bias)) return undefined;
  const outputs = linears.reduce((sum, { rows }) => sum + rows, 0);
  const values = new Float32Array(outputs);
  let first = 0;
  for (const { bias, rows } of linears) {
    if (bias) values.set(await checkpoint.read(bias), first);
    first += rows;
  }
  return device.upload(f32([outputs], values), `biases of ${linears[0]!.name}`);
}
