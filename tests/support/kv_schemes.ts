import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";

/** A scheme of every number of bits and every zero point that keys and values may have. */
export const KV_SCHEMES: readonly KvScheme[] = [
  { bits: 4, zero: "post_scale", group: 64 },
  { bits: 4, zero: "pre_scale", group: 32 },
  { bits: 4, zero: "none", group: 16 },
  { bits: 8, zero: "post_scale", group: 64 },
  { bits: 8, zero: "pre_scale", group: 8 },
  { bits: 8, zero: "none", group: 64 },
  { bits: 16, zero: "none", group: 64 },
];
