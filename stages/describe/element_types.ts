import type { Section } from "../../pipeline/description.ts";
import { elements } from "../../kernels/device/tensor.ts";

/** A tensor with the bytes it takes. */
export interface SizedTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** Tensors by element type. */
export function elementTypesSection(tensors: readonly SizedTensor[]): Section {
  const groups = Map.groupBy(tensors, ({ dtype }) => dtype);
  const rows = [...groups].map(([dtype, some]) => {
    const bytes = some.reduce((sum, one) => sum + one.bytes, 0);
    const count = some.reduce((sum, { shape }) => sum + elements(shape), 0);
    return { dtype, tensors: some.length, count, bytes };
  }).sort((a, b) => b.bytes - a.bytes);
  const number = true;
  return {
    title: "Element types",
    table: {
      columns: [
        { heading: "type" },
        { heading: "tensors", number },
        { heading: "elements", number },
        { heading: "bytes", number },
      ],
      rows: rows.map((row) => [row.dtype, `${row.tensors}`, `${row.count}`, `${row.bytes}`]),
    },
  };
}
