import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { attention, rmsNorm, rope, siluMul } from "../../kernels/mod.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { DecoderConfig, LinearRole } from "./family.ts";
import { linearName, LINEARS, normName } from "./names.ts";
import { loadVector, Weight } from "./weight.ts";

/** The weights of one layer on the device. */
export interface Layer extends Disposable {
  readonly linears: Readonly<Record<LinearRole, Weight>>;
  readonly attentionGain: TensorRef;
  readonly mlpGain: TensorRef;
}

/** Reads one layer onto the device. */
export async function loadLayer(
  device: Device,
  checkpoint: Checkpoint,
  config: DecoderConfig,
  layer: number,
): Promise<Layer> {
  using stack = new DisposableStack();
  const linears: Partial<Record<LinearRole, Weight>> = {};
  for (const role of LINEARS) {
    const name = linearName(layer, role);
    const bias = config.biases.includes(role) ? `${name}.bias` : undefined;
    linears[role] = stack.use(await Weight.load(device, checkpoint, `${name}.weight`, bias));
  }
  const gain = async (norm: "attention" | "mlp") =>
    stack.use(await loadVector(device, checkpoint, normName(layer, norm)));
  const attentionGain = await gain("attention");
  const mlpGain = await gain("mlp");
  const owned = stack.move();
  return {
    linears: linears as Record<LinearRole, Weight>,
    attentionGain,
    mlpGain,
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Where tokens stand: their positions u32 [tokens] and the angles of all positions. */
export interface Places {
  readonly positions: TensorRef;
  readonly angles: TensorRef;
}

/** The residual stream between layers: what the last MLP made is not added yet. */
export interface Stream extends Disposable {
  readonly residual: Tensor;
  readonly delta: Tensor | undefined;
}

/** A stream that starts at the embeddings. */
export function startStream(residual: Tensor): Stream {
  return makeStream(residual, undefined);
}

/** Runs one layer over a sequence; the stream given is used up. */
export function runLayer(
  device: Device,
  config: DecoderConfig,
  weights: Layer,
  options: {
    readonly stream: Stream;
    readonly places: Places;
    readonly window: number | undefined;
  },
): Stream {
  const { stream, places, window } = options;
  const { linears } = weights;
  const eps = config.normEps;
  const { residual } = stream;
  using x = normalize(device, stream, weights.attentionGain, eps);
  stream.delta?.[Symbol.dispose]();
  using mixed = attend(device, config, { linears, x, places, window });
  using attended = linears.o.apply(device, mixed);
  using y = device.run(rmsNorm, { x: attended, gain: weights.mlpGain, residual }, { eps }).y;
  using gate = linears.gate.apply(device, y);
  using up = linears.up.apply(device, y);
  using gated = device.run(siluMul, { gate, up }, {}).y;
  return makeStream(residual, linears.down.apply(device, gated));
}

/** Adds what is outstanding to the residual and normalizes it. */
export function normalize(device: Device, stream: Stream, gain: TensorRef, eps: number): Tensor {
  const { residual, delta } = stream;
  return delta
    ? device.run(rmsNorm, { x: delta, gain, residual }, { eps }).y
    : device.run(rmsNorm, { x: residual, gain }, { eps }).y;
}

function attend(
  device: Device,
  { heads, kvHeads, headSize }: DecoderConfig,
  options: {
    readonly linears: Layer["linears"];
    readonly x: TensorRef;
    readonly places: Places;
    readonly window: number | undefined;
  },
): TensorRef & Disposable {
  const { linears, x, places, window } = options;
  const tokens = x.shape[0]!;
  using q = linears.q.apply(device, x);
  using k = linears.k.apply(device, x);
  using v = linears.v.apply(device, x);
  const byHead = (tensor: Tensor, count: number) => tensor.view([tokens, count, headSize]);
  device.run(rope, { x: byHead(q, heads), ...places }, {});
  device.run(rope, { x: byHead(k, kvHeads), ...places }, {});
  const y = device.run(
    attention,
    { q: byHead(q, heads), k: byHead(k, kvHeads), v: byHead(v, kvHeads) },
    window === undefined ? {} : { window },
  ).y;
  const flat = y.view([tokens, heads * headSize]);
  return Object.assign(flat, { [Symbol.dispose]: () => y[Symbol.dispose]() });
}

function makeStream(residual: Tensor, delta: Tensor | undefined): Stream {
  return {
    residual,
    delta,
    [Symbol.dispose]() {
      residual[Symbol.dispose]();
      delta?.[Symbol.dispose]();
    },
  };
}
