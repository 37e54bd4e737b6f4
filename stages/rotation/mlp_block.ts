import type { TensorRef } from "../../kernels/device/device.ts";
import { glu, gluBackward, hadamard, rmsNorm, rmsNormBackward } from "../../kernels/mod.ts";
import { addCross, Products } from "./products.ts";
import { type LayerReturn, rounded, type TrainedPass } from "./training_pass.ts";

/** What the MLP of a layer made of the residual stream `x`, f32 [tokens, hidden]. */
export interface Fed {
  readonly x: TensorRef;
  /** What gates and what they gate take, rounded. */
  readonly input: TensorRef;
  readonly gates: TensorRef;
  /** What goes to the residual stream, before R1. */
  readonly written: TensorRef;
}

/** Runs the MLP; the stream stays as it is. */
export function feed(work: Products, x: TensorRef, { pass, weights }: TrainedPass): Fed {
  const { config: { normEps: eps }, schemes, residual, ones, left, leftInverse } = pass;
  const normed = work.run(rmsNorm, { x, gain: ones }, { eps }).y;
  const input = rounded(work, normed, schemes.inputs);
  const plain = work.times(input, residual.matrix);
  const gates = work.times(plain, weights["mlp.in"].weight);
  const inner = work.run(glu, { gate: gates }, {}).y;
  const spread = work.run(hadamard, { x: inner, ...left && { left } }, {}).y;
  const codes = rounded(work, spread, schemes.inputs);
  const back = { x: codes, ...leftInverse && { left: leftInverse } };
  const written = work.times(work.run(hadamard, back, {}).y, weights["mlp.out"].weight);
  return { x, input, gates, written };
}

/** Turns the gradient of the stream behind the MLP into that of the stream before it. */
export function feedBackward(
  work: Products,
  { x, input, gates, written }: Fed,
  { pass, weights, d, gradients }: LayerReturn,
): void {
  const { device } = work;
  const { residual, ones, config: { normEps: eps } } = pass;
  addCross(device, gradients.residual, written, d);
  const made = work.times(d, residual.matrix);
  // Both transforms and the rounding between them come to nothing.
  const dy = work.times(made, weights["mlp.out"].transposed);
  const { dx } = work.run(gluBackward, { x: gates, dy }, {});
  const plain = work.times(dx, weights["mlp.in"].transposed);
  addCross(device, gradients.residual, plain, input);
  const normed = work.times(plain, residual.inverse);
  device.run(rmsNormBackward, { x, gain: ones, dy: normed, sum: d }, { eps });
}
