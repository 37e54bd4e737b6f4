import type { Projection } from "../quant/projection.ts";
import type { LayerSite } from "./decoder.ts";

export { type Projection, projection } from "../quant/projection.ts";

/** The site whose linears a projection names. */
export const PROJECTION_SITES: Readonly<Record<Projection, LayerSite>> = {
  qkv_proj: "attention.in",
  out_proj: "attention.out",
  up_proj: "mlp.in",
  down_proj: "mlp.out",
};
