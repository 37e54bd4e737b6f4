import type { Device, Tensor } from "../../kernels/device/device.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import { PackedLinear } from "./packed_linear.ts";
import type { SiteInput } from "./site_input.ts";
import { Weight } from "./weight.ts";

/** A linear layer in whatever precision the model artifact holds. */
export interface Linear extends Disposable {
  /** The input of its site to f32 [tokens, outputs]. */
  apply(device: Device, input: SiteInput): Tensor;
}

/** Reads a linear onto the device; `name` is the part before `.weight`. */
export async function loadLinear(
  device: Device,
  checkpoint: Checkpoint,
  { name, scheme, bias }: {
    readonly name: string;
    readonly scheme: LinearScheme | undefined;
    readonly bias: boolean;
  },
): Promise<Linear> {
  const vector = bias ? `${name}.bias` : undefined;
  if (scheme) return await PackedLinear.load(device, checkpoint, { name, scheme, bias: vector });
  const weight = await Weight.load(device, checkpoint, `${name}.weight`, vector);
  return {
    apply: (device, { x }) => weight.apply(device, x),
    [Symbol.dispose]: () => weight[Symbol.dispose](),
  };
}
