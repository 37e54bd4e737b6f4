import type { Device, Tensor } from "../../kernels/device/device.ts";
import type { NormOptions } from "../../kernels/rms_norm.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { DecoderConfig } from "./config.ts";
import type { Feeder } from "./site.ts";

/** A norm on the device: what rows are multiplied by and what is added, f32 [channels]. */
export interface Norm extends Disposable {
  readonly gain: Tensor;
  readonly bias: Tensor | undefined;
  readonly options: NormOptions;
}

/** Reads a norm of a model; what it makes is multiplied by `factor`. */
export async function loadNorm(
  device: Device,
  checkpoint: Checkpoint,
  { fedBy: { weight, bias }, config: { norm, normEps: eps }, factor = 1 }: {
    readonly fedBy: Feeder;
    readonly config: Pick<DecoderConfig, "norm" | "normEps">;
    readonly factor?: number;
  },
): Promise<Norm> {
  using stack = new DisposableStack();
  const vector = async (name: string) => {
    const values = (await checkpoint.read(name)).map((value) => value * factor);
    return stack.use(device.upload(f32(checkpoint.tensors.get(name)?.shape ?? [], values), name));
  };
  const gain = await vector(weight);
  const added = bias === undefined ? undefined : await vector(bias);
  const owned = stack.move();
  return {
    gain,
    bias: added,
    options: { eps, ...norm === "layer" && { centered: true } },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
