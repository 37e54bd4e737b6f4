import type { CodedLinear } from "../../stages/exchange/subject.ts";
import type { LinearRole } from "../../stages/models/site.ts";

/** A linear of a first layer in codes, without a bias. */
export function codedLinear(
  { role = "q", name = `model.layers.0.self_attn.${role}_proj`, ...rest }:
    & Pick<CodedLinear, "rows" | "columns" | "scheme">
    & { readonly name?: string; readonly role?: LinearRole },
): CodedLinear {
  return { ...rest, name, weight: `${name}.weight`, bias: undefined };
}
