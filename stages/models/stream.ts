import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { rmsNorm } from "../../kernels/mod.ts";

/** The residual stream between layers: what the last MLP made is not added yet. */
export interface Stream extends Disposable {
  readonly residual: Tensor;
  readonly delta: Tensor | undefined;
}

/** A stream that starts at the embeddings. */
export function startStream(residual: Tensor): Stream {
  return makeStream(residual, undefined);
}

/** A stream of a residual and what is not added to it yet; both become the stream's. */
export function makeStream(residual: Tensor, delta: Tensor | undefined): Stream {
  return {
    residual,
    delta,
    [Symbol.dispose]() {
      residual[Symbol.dispose]();
      delta?.[Symbol.dispose]();
    },
  };
}

/** A copy of a stream, which stays as it is. */
export async function cloneStream(device: Device, { residual, delta }: Stream): Promise<Stream> {
  const copy = async (tensor: Tensor) => device.upload(await device.read(tensor));
  return makeStream(await copy(residual), delta && await copy(delta));
}

/** Adds what is outstanding to the residual and normalizes it. */
export function normalize(device: Device, stream: Stream, gain: TensorRef, eps: number): Tensor {
  const { residual, delta } = stream;
  return delta
    ? device.run(rmsNorm, { x: delta, gain, residual }, { eps }).y
    : device.run(rmsNorm, { x: residual, gain }, { eps }).y;
}
