import type { Device, TensorRef } from "../../kernels/device/device.ts";
import type { Attend, TurnAndAttend } from "./attend.ts";
import type { Places } from "./places.ts";
import type { AttentionTap, SiteRole } from "./site.ts";
import type { Stream } from "./stream.ts";

/** Whose rows an activation has: those of expert e stand from `bounds[e]` to `bounds[e + 1]`. */
export interface ExpertRows {
  /** u32 [experts + 1]. */
  readonly bounds: TensorRef;
  /** Rows that an expert has at most. */
  readonly most: number;
}

/**
 * What is told of a layer at work: a site's input, or queries, keys (rotated) and values. With `rows` it
 * is what goes to experts, at the site before them, or inside each of them.
 */
export type Observe = (tap: SiteRole | AttentionTap, x: TensorRef, rows?: ExpertRows) => void;

/** What a layer runs over. */
export interface LayerPass {
  readonly stream: Stream;
  readonly places: Places;
  /** The number of each token's adapter, 0 for none, u32 [tokens]; none unless said. */
  readonly owners?: TensorRef | undefined;
  readonly observe?: Observe | undefined;
  /** The last site whose input is wanted: the layer may end there, with a stream that nobody goes on with. */
  readonly until?: SiteRole | undefined;
  /** How queries find their keys; in the sequence itself unless said. */
  readonly attention?: Attend;
  /** The same where keys and values are kept elsewhere, as soon as they are turned; nobody observes them. */
  readonly pages?: TurnAndAttend;
}

/** The weights of one layer on the device, in whatever precision. */
export interface Layer extends Disposable {
  /** Runs over a sequence; the stream given is used up. */
  run(device: Device, pass: LayerPass): Stream;
}
