import type { Device, Tensor } from "../../kernels/device/device.ts";
import { addScaled, rmsNorm } from "../../kernels/mod.ts";
import type { Norm } from "./norm.ts";

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

/**
 * What a block made, times a factor, added to a residual: by the norm that reads it next, unless it is
 * scaled or asked for now. Both are used up.
 */
export function addedTo(
  device: Device,
  residual: Tensor,
  { made, factor, now = false }: {
    readonly made: Tensor;
    readonly factor: number;
    readonly now?: boolean;
  },
): Stream {
  if (factor === 1 && !now) return makeStream(residual, made);
  using x = made;
  device.run(addScaled, { x, sum: residual }, { factor });
  return makeStream(residual, undefined);
}

/** The residual with what is outstanding, which is added; the stream keeps both. */
export function settled(device: Device, { residual, delta }: Stream): Tensor {
  if (delta) device.run(addScaled, { x: delta, sum: residual }, { factor: 1 });
  return residual;
}

/** What a norm reads of a stream: it adds what is outstanding to the residual. */
export function normReads(
  { residual, delta }: Stream,
  { gain, bias }: Norm,
): {
  readonly x: Tensor;
  readonly gain: Tensor;
  readonly residual?: Tensor;
  readonly bias?: Tensor;
} {
  return { ...delta ? { x: delta, residual } : { x: residual }, gain, ...bias && { bias } };
}

/** Adds what is outstanding to the residual and normalizes it. */
export function normalize(device: Device, stream: Stream, norm: Norm): Tensor {
  return device.run(rmsNorm, normReads(stream, norm), norm.options).y;
}
