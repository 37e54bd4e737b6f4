import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import type { LinearScheme } from "../quant/schemes.ts";

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
