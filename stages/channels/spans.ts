import type { Matrix } from "../quant/weight_grid.ts";

/** What statistics call the magnitudes of an activation's channels. */
export const MAGNITUDES = { abs_max: "absmax", abs_mean: "absmean", rms: "rms" } as const;

/** How the magnitude of a channel is measured over many vectors or rows. */
export type SpanKind = keyof typeof MAGNITUDES;

/** Magnitudes of columns being pooled over the rows of one matrix or more. */
export interface ColumnSpans {
  readonly largest: Float64Array<ArrayBuffer>;
  readonly magnitudes: Float64Array<ArrayBuffer>;
  readonly squares: Float64Array<ArrayBuffer>;
  readonly rows: number;
}

/** Heads of an attention layer: queries come in `heads` of `headSize`, keys and values in `kvHeads`. */
export interface HeadLayout {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Spans of no rows yet. */
export function noSpans(columns: number): ColumnSpans {
  const zeros = () => new Float64Array(columns);
  return { largest: zeros(), magnitudes: zeros(), squares: zeros(), rows: 0 };
}

/** Pools the rows of a matrix into spans; those given are used up. */
export function poolSpans(spans: ColumnSpans, { rows, columns, values }: Matrix): ColumnSpans {
  const { largest, magnitudes, squares } = spans;
  for (let i = 0; i < values.length;) {
    for (let c = 0; c < columns; c++, i++) {
      const magnitude = Math.abs(values[i]!);
      if (magnitude > largest[c]!) largest[c] = magnitude;
      magnitudes[c]! += magnitude;
      squares[c]! += magnitude * magnitude;
    }
  }
  return { ...spans, rows: spans.rows + rows };
}

/** One magnitude of every column: f32 [columns]. */
export function spanOf(spans: ColumnSpans, kind: SpanKind): Float32Array<ArrayBuffer> {
  if (kind === "abs_max") return Float32Array.from(spans.largest);
  if (kind === "abs_mean") return Float32Array.from(spans.magnitudes, (sum) => sum / spans.rows);
  return Float32Array.from(spans.squares, (sum) => Math.sqrt(sum / spans.rows));
}

/**
 * Gives all query heads that share a kv head the same span, their largest or their mean:
 * [heads * head size] to the same.
 */
export function shareKvHeads(
  span: Float32Array,
  { heads, kvHeads, headSize }: HeadLayout,
  kind: SpanKind,
): Float32Array<ArrayBuffer> {
  const repeats = heads / kvHeads;
  return Float32Array.from(span, (_, i) => {
    const first = Math.floor(i / headSize / repeats) * repeats * headSize + i % headSize;
    return pooled(repeats, (repeat) => span[first + repeat * headSize]!, kind);
  });
}

/** Which channels rotary embedding turns together. */
export interface RotaryPairs {
  readonly headSize: number;
  /** Channels of a head that turn, its first ones. */
  readonly turned: number;
  /** Whether neighbours turn together, instead of i and i + half of those that turn. */
  readonly neighbours: boolean;
}

/**
 * Gives the two channels that rotary embedding turns together the same span, their largest or their
 * mean, so that one factor commutes with the rotation.
 */
export function shareRotaryPairs(
  span: Float32Array,
  { headSize, turned, neighbours }: RotaryPairs,
  kind: SpanKind,
): Float32Array<ArrayBuffer> {
  const half = turned / 2;
  return Float32Array.from(span, (own, i) => {
    const channel = i % headSize;
    if (channel >= turned) return own;
    const [first, step] = neighbours ? [i - channel % 2, 1] : [i - channel + channel % half, half];
    return pooled(2, (side) => span[first + side * step]!, kind);
  });
}

/** Repeats each kv head for the query heads that share it: [kv heads * head size] to heads. */
export function spreadKvHeads(
  values: Float32Array,
  { heads, kvHeads, headSize }: HeadLayout,
): Float32Array<ArrayBuffer> {
  const repeats = heads / kvHeads;
  return Float32Array.from({ length: heads * headSize }, (_, i) => {
    const head = Math.floor(i / headSize / repeats);
    return values[head * headSize + i % headSize]!;
  });
}

/** The part of the first query head of each kv head: [heads * head size] to kv heads. */
export function takeKvHeads(
  values: Float32Array,
  { heads, kvHeads, headSize }: HeadLayout,
): Float32Array<ArrayBuffer> {
  const repeats = heads / kvHeads;
  return Float32Array.from({ length: kvHeads * headSize }, (_, i) => {
    const head = Math.floor(i / headSize) * repeats;
    return values[head * headSize + i % headSize]!;
  });
}

function pooled(count: number, at: (which: number) => number, kind: SpanKind): number {
  let [largest, sum] = [0, 0];
  for (let which = 0; which < count; which++) {
    largest = Math.max(largest, at(which));
    sum += at(which);
  }
  return kind === "abs_max" ? largest : sum / count;
}
