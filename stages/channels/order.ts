import { z } from "zod";
import { type HeadLayout, shareKvHeads, type SpanKind } from "./spans.ts";
import { oneWidthScheme } from "../quant/schemes.ts";

/** The magnitude that channels are ordered by: of inputs, of weights, or the product of both. */
const orderMetric = z.enum([
  "inputs_abs_max",
  "inputs_abs_mean",
  "inputs_rms",
  "weights_abs_max",
  "weights_abs_mean",
  "weights_rms",
  "abs_max_product",
  "abs_mean_product",
  "rms_product",
]);

/** See `orderMetric`. */
export type OrderMetric = z.infer<typeof orderMetric>;

/**
 * Whether channels stand in ascending order, or are dealt out over the groups in that order, one to
 * each in turn.
 */
const orderIndex = z.enum(["sequential", "transpose"]);

/** See `orderIndex`. */
export type OrderIndex = z.infer<typeof orderIndex>;

/** A way to order channels (.github/ALGORITHMS.md#orders). */
export interface Ordering {
  readonly metric: OrderMetric;
  readonly index: OrderIndex;
}

/** Every ordering a search tries, after leaving the channels as they are. */
export const ORDERINGS: readonly Ordering[] = orderMetric.options.flatMap((metric) =>
  orderIndex.options.map((index) => ({ metric, index }))
);

/** The magnitude a metric rests on. */
export function metricKind(metric: OrderMetric): SpanKind {
  return metric.includes("abs_max") ? "abs_max" : metric.includes("abs_mean") ? "abs_mean" : "rms";
}

/** The metric of every channel from the spans of its inputs and weights. */
export function metricOf(
  metric: OrderMetric,
  inputs: Float32Array,
  weights: Float32Array,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(inputs, (input, channel) => {
    const weight = weights[channel]!;
    if (metric.startsWith("inputs")) return input;
    return metric.startsWith("weights") ? weight : input * weight;
  });
}

/**
 * The order of channels by their metric, the smallest first, equal ones in their old order:
 * new[j] = old[order[j]].
 *
 * With heads, channels stay within their head, and heads that share a kv head move alike.
 */
export function channelOrder(
  metric: Float32Array,
  ordering: Ordering,
  { groups, layout }: {
    /** Groups of channels that share a weight scale, for `transpose`. */
    readonly groups: number;
    readonly layout?: HeadLayout | undefined;
  },
): Uint32Array<ArrayBuffer> {
  if (!layout) return Uint32Array.from(dealt(ascending(metric), ordering.index, groups));
  const { heads, headSize } = layout;
  const shared = shareKvHeads(metric, layout, metricKind(ordering.metric));
  const groupsOfHead = Math.max(1, Math.floor(groups / heads));
  const order = Array.from({ length: heads }, (_, head) => {
    const start = head * headSize;
    const within = ascending(shared.subarray(start, start + headSize));
    return dealt(within, ordering.index, groupsOfHead).map((channel) => start + channel);
  });
  return Uint32Array.from(order.flat());
}

/** The order of value channels that goes with an order of attention outputs within heads. */
export function kvOrder(
  order: Uint32Array,
  { heads, kvHeads, headSize }: HeadLayout,
): Uint32Array<ArrayBuffer> {
  const repeats = heads / kvHeads;
  return Uint32Array.from({ length: kvHeads * headSize }, (_, i) => {
    const head = Math.floor(i / headSize);
    const first = head * repeats * headSize;
    return order[first + i % headSize]! - first + head * headSize;
  });
}

/** The order that leaves everything in place. */
export function identityOrder(channels: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: channels }, (_, channel) => channel);
}

/** Place of the smallest error, the first of equal ones: the order that moves less wins ties. */
export function firstSmallest(errors: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < errors.length; i++) {
    if (errors[i]! < errors[best]!) best = i;
  }
  return best;
}

function ascending(metric: Float32Array): number[] {
  return Array.from(metric, (_, channel) => channel)
    .sort((a, b) => metric[a]! - metric[b]! || a - b);
}

function dealt(order: readonly number[], index: OrderIndex, groups: number): readonly number[] {
  if (index === "sequential") return order;
  const size = order.length / groups;
  if (!Number.isInteger(size)) {
    throw new RangeError(
      `Cannot deal ${order.length} channels to ${groups} groups: expected a divisor`,
    );
  }
  return order.map((_, i) => order[i % size * groups + Math.floor(i / size)]!);
}

const place = z.enum(["residual", "out_proj", "down_proj"]);

/** Inputs of linears whose channels can be put into an order while the model runs. */
const onlinePlace = z.enum(["qkv_proj", "out_proj", "up_proj"]);

/** Parameters of ordering channels. */
export const reordering = z.strictObject({
  sites: z.array(place).default(["down_proj"]).describe(
    "Channels to order: of the residual stream in the whole model, of the heads before out_proj, of the MLP before down_proj.",
  ),
  online: z.array(onlinePlace).exactOptional().describe(
    "Inputs of linears whose channels are ordered freely, while the model runs: other programs do not know that (Atom).",
  ),
  strategy: z.enum(["manual", "grid"]).default("manual").describe(
    "One order from metric and index, or the one of least output error among all.",
  ),
  metric: orderMetric.default("inputs_abs_max").describe(
    "What channels are ordered by, ascending.",
  ),
  index: orderIndex.default("sequential").describe(
    "Whether neighbours in the order share a group, or are dealt out over the groups.",
  ),
  weights: oneWidthScheme.prefault({}).describe(
    "How weights are quantized: the groups of transpose, and the errors of grid.",
  ),
  quantize_inputs: z.boolean().default(true).describe(
    "Whether grid takes inputs as 8-bit codes with a scale a token.",
  ),
}).refine(({ sites, online = [] }) => sites.length + online.length > 0, {
  error: "expected sites, online or both to name a place",
}).refine(
  ({ sites, online = [] }) => !(sites.includes("out_proj") && online.includes("out_proj")),
  {
    error: "expected out_proj among sites or online, for it is ordered once",
  },
);

/** See `reordering`. */
export type Reordering = z.infer<typeof reordering>;

/** A place whose channels can be ordered. */
export type OrderPlace = z.infer<typeof place> | z.infer<typeof onlinePlace>;
