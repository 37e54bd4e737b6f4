import type { TensorSpecification } from "../formats/safetensors/header.ts";
import { packedParts, type PackedWeight } from "../quant/packed.ts";
import { groupColumns, type WeightScheme } from "../quant/schemes.ts";
import type { LinearOutline } from "./site.ts";

/** A tensor of a quantized weight, and what of the weight it holds. */
export interface CodedTensor extends TensorSpecification {
  readonly part: keyof PackedWeight;
}

/** The tensors in which a model artifact holds a linear's weight under a scheme. */
export function codedTensors(
  { name, rows, columns }: LinearOutline,
  scheme: WeightScheme,
): CodedTensor[] {
  const groups = columns / groupColumns(scheme, columns);
  return packedParts(scheme, { rows, columns, groups })
    .map((each) => ({ ...each, name: `${name}.${each.part}` }));
}
