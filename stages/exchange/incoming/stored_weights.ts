import type { RowRange } from "../../formats/checkpoint.ts";

/** Reads values of some rows of a weight. */
export type ReadWeight = (rows: RowRange) => Promise<Float32Array<ArrayBuffer>>;

/** A weight that is stored as codes. */
export interface StoredWeightValues {
  readonly shape: readonly [rows: number, columns: number];
  /** Reads what lies beside its codes. */
  open(): Promise<ReadWeight>;
}

/** The weights of a checkpoint that are stored as codes and read as values, by their names. */
export interface StoredWeights {
  readonly weights: ReadonlyMap<string, StoredWeightValues>;
  /** Tensors beside them that are no weights. */
  readonly beside: readonly string[];
  /** What there is to say of it. */
  readonly note: string;
}
