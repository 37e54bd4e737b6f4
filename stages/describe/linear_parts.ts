import type { ModelRecord } from "../models/model_record.ts";
import { packedParts } from "../quant/packed.ts";
import { groupColumns } from "../quant/schemes.ts";

/** A tensor that a model must hold. */
export interface Part {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
}

/** The tensors that stand for a weight [rows, columns] which the model's record calls quantized. */
export function linearParts(
  name: string,
  { record, shape }: {
    readonly record: Pick<ModelRecord, "linears">;
    readonly shape: readonly number[];
  },
): readonly Part[] | undefined {
  const linear = name.replace(/\.weight$/, "");
  const scheme = name.endsWith(".weight") ? record.linears[linear]?.weights : undefined;
  const [rows, columns] = shape;
  if (scheme === undefined || rows === undefined || columns === undefined) return undefined;
  const groups = columns / groupColumns(scheme, columns);
  return packedParts(scheme, { rows, columns, groups })
    .map(({ part, shape, dtype }) => ({ name: `${linear}.${part}`, shape, dtype }));
}
