import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32, type HostTensor } from "../../kernels/device/tensor.ts";
import { addScaled, transpose } from "../../kernels/mod.ts";
import type { ModelFiles } from "../models/family.ts";
import type { LinearOutline, SiteRole } from "../models/site.ts";
import { attendBackward, attendRounded } from "./attention_block.ts";
import { feed, feedBackward } from "./mlp_block.ts";
import { productOf, Products } from "./products.ts";
import type {
  RotationGradients,
  TrainedMatrix,
  TrainingPass,
  TurnMatrix,
} from "./training_pass.ts";

const ROLES: readonly SiteRole[] = ["attention.in", "attention.out", "mlp.in", "mlp.out"];

/** The rotations of a layer in a pass. */
interface LayerTurns {
  readonly pass: TrainingPass;
  /** R2, of the values of each head of the layer. */
  readonly head: TurnMatrix;
}

/**
 * A layer of a decoder as Llama is one, through which rotations are learned (Liu et al. 2024, SpinQuant,
 * section 3.2): the residual stream is that of the rotated model, weights are in full precision, and
 * inputs of linears, keys and values are rounded.
 *
 * Rotations are linears of their own here: a site's rounded input goes through R1^T to the weights as
 * they were, and what is written goes through R1. So the gradient of a rotation is a sum of products of
 * activations, whatever the weights. The gradient of rounding is taken to be 1.
 */
export class TrainedLayer implements Disposable {
  readonly #index: number;
  readonly #weights: Readonly<Record<SiteRole, TrainedMatrix>>;
  readonly #owned: DisposableStack;

  private constructor(
    index: number,
    weights: Readonly<Record<SiteRole, TrainedMatrix>>,
    owned: DisposableStack,
  ) {
    this.#index = index;
    this.#weights = weights;
    this.#owned = owned;
  }

  /** Reads the weights of a layer, gains of norms folded into them. */
  static async load(
    device: Device,
    { checkpoint, architecture: { layers } }: ModelFiles,
    index: number,
  ): Promise<TrainedLayer> {
    using stack = new DisposableStack();
    const weights: Partial<Record<SiteRole, TrainedMatrix>> = {};
    for (const role of ROLES) {
      const { linears, fedBy, residual } = layers[index]!.site(role);
      const gain = residual === "read" ? await checkpoint.read(fedBy.weight) : undefined;
      const host = await joinedWeights(checkpoint, linears, gain);
      const weight = stack.use(device.upload(host, linears[0]!.weight));
      const transposed = stack.use(device.run(transpose, { x: weight }, {}).y);
      weights[role] = { weight, transposed };
    }
    return new TrainedLayer(index, weights as Record<SiteRole, TrainedMatrix>, stack.move());
  }

  /** The residual stream behind the layer, f32 [tokens, hidden], of that before it. */
  forward(device: Device, x: TensorRef, { pass, head }: LayerTurns): Tensor {
    using work = new Products(device);
    const layer = { pass, head, index: this.#index, weights: this.#weights };
    const { next } = attendRounded(work, x, layer);
    const { written } = feed(work, next, layer);
    const y = productOf(device, written, pass.residual.inverse);
    device.run(addScaled, { x: next, sum: y }, { factor: 1 });
    return y;
  }

  /**
   * Turns `d`, what a loss loses by the stream behind the layer, into that of `x`, the stream before it,
   * and adds to the gradients of rotations. Runs the layer once more for what it needs on the way.
   */
  backward(
    device: Device,
    { x, d }: Readonly<Record<"x" | "d", TensorRef>>,
    { pass, head, gradients }: LayerTurns & { readonly gradients: RotationGradients },
  ): void {
    using work = new Products(device);
    const layer = { pass, head, index: this.#index, weights: this.#weights, d, gradients };
    const attended = attendRounded(work, x, layer);
    {
      using inner = new Products(device);
      feedBackward(inner, feed(inner, attended.next, layer), layer);
    }
    attendBackward(work, attended, layer);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Weights one below the other, f32 [outputs, inputs], columns times the gains of the norm before them. */
async function joinedWeights(
  checkpoint: ModelFiles["checkpoint"],
  linears: readonly LinearOutline[],
  gain: Float32Array | undefined,
): Promise<HostTensor> {
  const parts: Float32Array[] = [];
  for (const { weight, columns } of linears) {
    const values = await checkpoint.read(weight);
    if (gain) values.forEach((value, at) => values[at] = value * gain[at % columns]!);
    parts.push(values);
  }
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  const rows = linears.reduce((sum, { rows }) => sum + rows, 0);
  return f32([rows, linears[0]!.columns], joined);
}
