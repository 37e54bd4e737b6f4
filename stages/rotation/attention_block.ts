import type { TensorRef } from "../../kernels/device/device.ts";
import {
  addScaled,
  attention,
  attentionBackward,
  attentionBackwardKeys,
  hadamard,
  rmsNorm,
  rmsNormBackward,
  rope,
  ropeBackward,
} from "../../kernels/mod.ts";
import { addCross, Products } from "./products.ts";
import { type LayerReturn, rounded, type TrainedPass } from "./training_pass.ts";

/** What attention of a layer made of the residual stream `x`, f32 [tokens, hidden]. */
export interface Attended {
  readonly x: TensorRef;
  /** What queries, keys and values are made of, rounded. */
  readonly input: TensorRef;
  /** Queries, keys and values as they meet, f32 [tokens, heads or kv heads, head size]. */
  readonly q: TensorRef;
  readonly k: TensorRef;
  readonly v: TensorRef;
  /** Values before R2, f32 [tokens * kv heads, head size]. */
  readonly values: TensorRef;
  readonly y: TensorRef;
  /** The same rounded, f32 [tokens * heads, head size]. */
  readonly out: TensorRef;
  /** What goes to the residual stream, before R1. */
  readonly written: TensorRef;
  /** The stream behind attention. */
  readonly next: TensorRef;
}

/** Runs attention; the stream stays as it is. */
export function attendRounded(
  work: Products,
  x: TensorRef,
  { pass, index, weights, head }: TrainedPass,
): Attended {
  const { config, schemes, residual, places: { positions, angles: ofLayers }, ones } = pass;
  const { heads, kvHeads, headSize, normEps: eps, attentionScale: scale } = config;
  const tokens = x.shape[0]!;
  const normed = work.run(rmsNorm, { x, gain: ones }, { eps }).y;
  const input = rounded(work, normed, schemes.inputs);
  const plain = work.times(input, residual.matrix);
  const all = work.times(plain, weights["attention.in"].weight)
    .view([tokens, heads + 2 * kvHeads, headSize]);
  const how = { kvHeads, hadamard: schemes.kv !== undefined };
  const turned = work.run(rope, { x: all, positions, angles: ofLayers[index]! }, how);
  const [own, shared] = [[tokens * heads, headSize], [tokens * kvHeads, headSize]];
  const q = turned.q;
  const k = rounded(work, turned.k.view(shared), schemes.kv).view(turned.k.shape);
  const values = turned.v.view(shared);
  const v = rounded(work, work.times(values, head.inverse), schemes.kv).view(turned.v.shape);
  const y = work.run(attention, { q, k, v }, { scale }).y;
  const flat = y.view(schemes.byHead ? own : [tokens, heads * headSize]);
  const out = rounded(work, flat, schemes.inputs).view(own);
  const mixed = work.times(out, head.matrix).view([tokens, heads * headSize]);
  const written = work.times(mixed, weights["attention.out"].weight);
  const next = work.times(written, residual.inverse);
  work.device.run(addScaled, { x, sum: next }, { factor: 1 });
  return { x, input, q, k, v, values, y, out, written, next };
}

/** Turns the gradient of the stream behind attention into that of the stream before it. */
export function attendBackward(
  work: Products,
  { x, input, q, k, v, values, y, out, written }: Attended,
  { pass, index, weights, head, d, gradients }: LayerReturn,
): void {
  const { device } = work;
  const { config, schemes, residual, places: { positions, angles: ofLayers }, ones } = pass;
  const { headSize, normEps: eps, attentionScale: scale } = config;
  addCross(device, gradients.residual, written, d);
  const made = work.times(d, residual.matrix);
  const mixed = work.times(made, weights["attention.out"].transposed).view(out.shape);
  addCross(device, gradients.head, mixed, out);
  const dy = work.times(mixed, head.inverse).view(q.shape);
  const { dq, rows } = work.run(attentionBackward, { q, k, v, y, dy }, { scale });
  const { dk, dv: turned } = work.run(attentionBackwardKeys, { q, k, v, dy, rows }, { scale });
  const ofValues = turned.view(values.shape);
  addCross(device, gradients.head, values, ofValues);
  const dv = work.times(ofValues, head.matrix).view(v.shape);
  // The transform of a head is its own inverse.
  const unmixed = (x: TensorRef, { shape }: TensorRef) => {
    if (!schemes.kv) return x;
    return work.run(hadamard, { x: x.view([shape[0]! * shape[1]!, headSize]) }, {}).y.view(shape);
  };
  const gathered = { dq: unmixed(dq, q), dk: unmixed(dk, k), dv, positions };
  const { dx } = work.run(ropeBackward, { ...gathered, angles: ofLayers[index]! }, {});
  const flat = dx.view([x.shape[0]!, weights["attention.in"].weight.shape[0]!]);
  const plain = work.times(flat, weights["attention.in"].transposed);
  addCross(device, gradients.residual, plain, input);
  const normed = work.times(plain, residual.inverse);
  device.run(rmsNormBackward, { x, gain: ones, dy: normed, sum: d }, { eps });
}
