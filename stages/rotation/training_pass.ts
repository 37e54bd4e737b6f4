import type { Tensor, TensorRef } from "../../kernels/device/device.ts";
import { roundRows } from "../../kernels/mod.ts";
import type { RoundRowsOptions } from "../../kernels/round_rows.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { Places } from "../models/places.ts";
import type { SiteRole } from "../models/site.ts";
import type { Products } from "./products.ts";

/** An orthogonal matrix R f32 [size, size] on the device, and R^T. */
export interface TurnMatrix {
  readonly matrix: Tensor;
  readonly inverse: Tensor;
}

/** What rotations are learned against: how activations are rounded, not at all where undefined. */
export interface TrainingSchemes {
  /** What linears take: a scale a token. */
  readonly inputs: RoundRowsOptions | undefined;
  /** Whether what out_proj takes has a scale for each head. */
  readonly byHead: boolean;
  /** Keys and values: a scale for each head of a token. */
  readonly kv: RoundRowsOptions | undefined;
}

/** What all layers of a pass share. */
export interface TrainingPass {
  readonly config: DecoderConfig;
  readonly schemes: TrainingSchemes;
  /** R1, of the residual stream. */
  readonly residual: TurnMatrix;
  readonly places: Places;
  /** Gains of norms, which are folded: ones, f32 [hidden]. */
  readonly ones: TensorRef;
  /** Left factors of the transform of what down_proj takes and of its inverse; none for powers of two. */
  readonly left: TensorRef | undefined;
  readonly leftInverse: TensorRef | undefined;
}

/** A weight f32 [outputs, inputs], and its transpose. */
export interface TrainedMatrix {
  readonly weight: Tensor;
  readonly transposed: Tensor;
}

/** A layer in a pass. */
export interface TrainedPass {
  readonly pass: TrainingPass;
  readonly index: number;
  /** The weights at each site as they were, gains of norms folded into them. */
  readonly weights: Readonly<Record<SiteRole, TrainedMatrix>>;
  /** R2, of the values of each head of the layer. */
  readonly head: TurnMatrix;
}

/** Gradients of both rotations, to which layers add. */
export interface RotationGradients {
  readonly residual: TensorRef;
  readonly head: TensorRef;
}

/** A layer on its way back: `d` is what a loss loses by the residual stream, in place. */
export interface LayerReturn extends TrainedPass {
  readonly d: TensorRef;
  readonly gradients: RotationGradients;
}

/** Rows as a scheme rounds them. */
export function rounded(
  work: Products,
  x: TensorRef,
  scheme: RoundRowsOptions | undefined,
): TensorRef {
  return scheme ? work.run(roundRows, { x }, scheme).y : x;
}
