import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { addScaled, nll, nllBackward, rmsNorm, rmsNormBackward } from "../../kernels/mod.ts";
import type { ModelFiles } from "../models/family.ts";
import { addCross, productOf, Products } from "./products.ts";
import type { TrainingPass } from "./training_pass.ts";

/** Bytes of the rows of the head that are on the device at once. */
const PIECE_BYTES = 2 ** 25;

/** A window behind the last layer: its residual stream f32 [tokens, hidden], and the tokens that follow. */
export interface LastStream {
  readonly x: TensorRef;
  /** u32 [tokens] */
  readonly targets: TensorRef;
}

/** Of some windows, the mean negative log-likelihood of a token, and what it loses by each stream. */
export interface Loss {
  readonly mean: number;
  /** f32 [tokens, hidden] each, which are the caller's. */
  readonly gradients: readonly Tensor[];
}

/**
 * The cross-entropy of windows of one length, and its gradients. R1^T stands behind the
 * last norm, whose gains are folded into the head as it was. Logits exist for some tokens of the
 * vocabulary at a time.
 */
export async function crossEntropy(
  device: Device,
  files: ModelFiles,
  { windows, pass, gradient }: {
    readonly windows: readonly LastStream[];
    readonly pass: TrainingPass;
    /** That of R1, to which is added; there are no gradients without it. */
    readonly gradient?: TensorRef | undefined;
  },
): Promise<Loss> {
  using work = new Products(device);
  const { checkpoint, architecture: { head } } = files;
  const { residual, ones: gain, config: { normEps: eps } } = pass;
  const gains = await checkpoint.read(head.fedBy.weight);
  const made = windows.map(({ x, targets }) => {
    const normed = work.run(rmsNorm, { x, gain }, { eps }).y;
    const plain = work.times(normed, residual.matrix);
    const state = work.upload(f32([x.shape[0]!, 3]));
    return { x, targets, normed, plain, state, d: work.upload(f32(x.shape)) };
  });
  const pieces = piecesOf(files);
  for (const { first, rows } of pieces) {
    using weight = await headRows(device, files, { first, rows, gains });
    for (const { plain, targets, state } of made) {
      using logits = productOf(device, plain, weight);
      device.run(nll, { logits, targets, state }, { column: first, first: first === 0 });
    }
  }
  const tokens = windows.reduce((sum, { x }) => sum + x.shape[0]!, 0);
  let sum = 0;
  for (const { state } of made) {
    const { data } = await device.read(state);
    for (let at = 0; at < data.length; at += 3) {
      sum += data[at]! + Math.log(data[at + 1]!) - data[at + 2]!;
    }
  }
  const mean = sum / tokens;
  if (!gradient) return { mean, gradients: [] };
  for (const { first, rows } of pieces) {
    using piece = new Products(device);
    using weight = await headRows(device, files, { first, rows, gains });
    const turned = piece.transposed(weight);
    for (const { plain, targets, state, d } of made) {
      using own = new Products(device);
      const logits = own.times(plain, weight);
      const options = { column: first, factor: 1 / tokens };
      const { dy } = own.run(nllBackward, { logits, targets, state }, options);
      device.run(addScaled, { x: own.times(dy, turned), sum: d }, { factor: 1 });
    }
  }
  using stack = new DisposableStack();
  const gradients = made.map(({ x, normed, d }) => {
    using own = new Products(device);
    addCross(device, gradient, d, normed);
    const sum = stack.use(device.upload(f32(x.shape)));
    const dy = own.times(d, residual.inverse);
    device.run(rmsNormBackward, { x, gain, dy, sum }, { eps });
    return sum;
  });
  stack.move();
  return { mean, gradients };
}

/** The rows of the head, some at a time. */
function piecesOf({ architecture: { config: { vocabulary, hidden } } }: ModelFiles) {
  const most = Math.max(8, 8 * Math.floor(PIECE_BYTES / (32 * hidden)));
  return Array.from({ length: Math.ceil(vocabulary / most) }, (_, i) => {
    const first = i * most;
    return { first, rows: Math.min(most, vocabulary - first) };
  });
}

async function headRows(
  device: Device,
  { checkpoint, architecture: { config, head } }: ModelFiles,
  { first, rows, gains }: {
    readonly first: number;
    readonly rows: number;
    readonly gains: Float32Array;
  },
): Promise<Tensor> {
  const [{ weight }] = head.linears;
  const values = await checkpoint.read(weight, { start: first, end: first + rows });
  values.forEach((value, at) => values[at] = value * gains[at % config.hidden]!);
  return device.upload(f32([rows, config.hidden], values), weight);
}
