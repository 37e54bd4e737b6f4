import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import type { Architecture } from "../models/family.ts";
import { inputWords, type ModelRecord, PLAIN } from "../models/model_record.ts";
import { type LinearScheme, schemeFor, weightWords } from "../quant/schemes.ts";

/** Precision of a whole model. */
export interface Precision {
  /** Of every linear of the layers; half precision unless said. */
  readonly linears?: LinearScheme;
  /** Of keys and values, a scale a head; half precision unless said. */
  readonly kv?: Pick<KvScheme, "bits" | "zero">;
}

const DYNAMIC = { bits: 8, range: "dynamic" } as const;

/** Those that QServe's paper compares (arXiv 2405.04532): its own in groups and with a scale a row too. */
export const PRECISIONS = {
  f16: {},
  w8a8kv8: {
    linears: { weights: { bits: 8, zero: "none", group: "row", levels: 1 }, inputs: DYNAMIC },
    kv: { bits: 8, zero: "none" },
  },
  w4a16: { linears: { weights: { bits: 4, zero: "post_scale", group: 128, levels: 1 } } },
  w4a8kv4: {
    linears: { weights: { bits: 4, zero: "post_scale", group: 128, levels: 2 }, inputs: DYNAMIC },
    kv: { bits: 4, zero: "post_scale" },
  },
  w4a8kv4_row: {
    linears: { weights: { bits: 4, zero: "post_scale", group: "row", levels: 1 }, inputs: DYNAMIC },
    kv: { bits: 4, zero: "post_scale" },
  },
} as const satisfies Readonly<Record<string, Precision>>;

/** The record of a model that has this precision throughout; groups shrink where they must. */
export function recordOf(
  { linears: outlines, config: { layers, headSize } }: Architecture,
  { linears, kv }: Precision,
): ModelRecord {
  const schemes = !linears ? [] : outlines.map(({ name, columns }): [string, LinearScheme] => {
    const weights = schemeFor(linears.weights, columns, "shrink");
    return [name, { ...linears, weights }];
  });
  const cache = kv && { ...kv, group: headSize };
  return {
    ...PLAIN,
    linears: Object.fromEntries(schemes),
    kv: cache ? Array.from({ length: layers }, () => ({ key: cache, value: cache })) : [],
  };
}

/** A precision in words, such as `W4 g128 two-level post-scale A8 per token KV4`. */
export function precisionWords({ linears, kv }: Precision): string {
  const weights = linears ? weightWords(linears.weights) : "W16";
  return `${weights} ${inputWords(linears?.inputs)} KV${kv?.bits ?? 16}`;
}
