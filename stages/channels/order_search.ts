import type { DecoderConfig } from "../models/config.ts";
import type { LayerSite } from "../models/site.ts";
import { groupColumns } from "../quant/schemes.ts";
import { checkGroup } from "../quant/weight_grid.ts";
import type { ChannelWork } from "./channel_work.ts";
import {
  channelOrder,
  firstSmallest,
  identityOrder,
  metricKind,
  metricOf,
  type Ordering,
  ORDERINGS,
  type OrderPlace,
  type Reordering,
} from "./order.ts";
import { outputErrors } from "./search_error.ts";
import { MAGNITUDES, spanOf } from "./spans.ts";
import { linearPieces, weightSpans } from "./weight_pieces.ts";

/** What was chosen at one place, as `reorder.json` lists it. */
export interface OrderChoice {
  readonly place: OrderPlace;
  /** Absent for the residual stream, which all layers share. */
  readonly layer?: number;
  readonly ordering: Ordering | "as before";
  /** Squared output error over the kept activations in the old and the new order, if searched. */
  readonly error?: { readonly before: number; readonly after: number };
}

/** The order of the channels that some sites share, by the parameters or by search. */
export async function chooseOrder(
  work: ChannelWork,
  places: readonly LayerSite[],
  { params, layout }: { readonly params: Reordering; readonly layout?: DecoderConfig | undefined },
): Promise<Omit<OrderChoice, "place" | "layer"> & { readonly order: Uint32Array<ArrayBuffer> }> {
  const { strategy, metric, index, weights } = params;
  const orderings = strategy === "manual" ? [{ metric, index }] : ORDERINGS;
  const [{ channels, linears: [first] }] = places as [LayerSite];
  if (strategy === "grid" || index === "transpose") checkGroup(first!.weight, weights, channels);
  const groups = channels / groupColumns(weights, channels);
  if (strategy === "grid" && groups === 1) {
    return { ordering: "as before", order: identityOrder(channels) };
  }
  const metrics = await measure(work, places, orderings);
  const orders = orderings.map((ordering, i) =>
    channelOrder(metrics[i]!, ordering, { groups, layout })
  );
  if (strategy === "manual") return { ordering: orderings[0]!, order: orders[0]! };
  const candidates = [identityOrder(channels), ...orders];
  const errors = await errorsOf(work, places, { params, orders: candidates });
  const best = firstSmallest(errors);
  return {
    ordering: ORDERINGS[best - 1] ?? "as before",
    error: { before: errors[0]!, after: errors[best]! },
    order: candidates[best]!,
  };
}

/** The metric of each ordering, over all places: the largest of them, or their sum. */
async function measure(
  { edits, source: { stats, checkpoint } }: ChannelWork,
  places: readonly LayerSite[],
  orderings: readonly Ordering[],
): Promise<readonly Float32Array[]> {
  const sums: Float32Array[] = [];
  for (const { layer, name, linears } of places) {
    const weights = await weightSpans(checkpoint, linears.map(({ weight }) => weight), edits);
    for (const [i, { metric }] of orderings.entries()) {
      const kind = metricKind(metric);
      const inputs = await stats.magnitude(layer, name, MAGNITUDES[kind]);
      const here = metricOf(metric, inputs, spanOf(weights, kind));
      const sum = sums[i];
      sums[i] = sum
        ? sum.map((value, c) => kind === "abs_max" ? Math.max(value, here[c]!) : value + here[c]!)
        : here;
    }
  }
  return sums;
}

/** Output errors of the linears at all places under each order, summed. */
async function errorsOf(
  { edits, source: { stats, checkpoint, signal, journal, device } }: ChannelWork,
  places: readonly LayerSite[],
  { params, orders }: {
    readonly params: Reordering;
    readonly orders: readonly Uint32Array<ArrayBuffer>[];
  },
): Promise<Float64Array> {
  const errors = new Float64Array(orders.length);
  for (const { layer, name, linears } of places) {
    signal.throwIfAborted();
    const entry = `errors-${name.replaceAll(".", "-")}`;
    const part = await journal.recall(entry, async () =>
      await outputErrors(await device(), {
        inputs: await stats.rows(layer, name),
        weights: linearPieces(checkpoint, linears.map(({ weight }) => weight), edits),
        maps: orders.map((index) => ({ index })),
        precision: { weights: params.weights, quantizeInputs: params.quantize_inputs },
        signal,
      }));
    part.forEach((error, i) => errors[i]! += error);
  }
  return errors;
}
