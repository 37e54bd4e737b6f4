import type { Checkpoint, RowRange } from "../../formats/checkpoint.ts";
import type { ModelRecord } from "../../models/model_record.ts";
import type { LinearScheme } from "../../quant/schemes.ts";
import type { StoredPart } from "./codes.ts";

/** What becomes of the codes of a quantized checkpoint. */
export type ImportedCodes = "keep" | "dequantize";

/** How a checkpoint is brought in. */
export interface ImportOptions {
  readonly codes?: ImportedCodes | undefined;
  /** Where `config.json` and tokenizer lie, where the checkpoint has none beside it. */
  readonly config?: string | undefined;
  /** What becomes of tensors that nothing reads; refused unless said. */
  readonly unused?: "refuse" | "ignore" | undefined;
  /** Whether biases are used that the config denies. */
  readonly useBiases?: boolean | undefined;
}

/** A checkpoint of any origin as it is brought in: dense tensors, and linears in codes. */
export interface Import extends Disposable {
  /** Dense tensors by their names in transformers, tokenizer and texts. */
  readonly checkpoint: Checkpoint;
  /** `config.json` without what it says of quantization. */
  readonly config: unknown;
  /** What `model.json` will say; none for a plain checkpoint, which has no such file. */
  readonly record: ModelRecord | undefined;
  /** Precision of the linears that come in codes, whether they are kept or not. */
  readonly linears: Readonly<Record<string, LinearScheme>>;
  /** The tensors of a linear whose codes are kept, all of it checked. */
  parts(name: string): Promise<readonly StoredPart[]>;
  /** Opens the values of a linear in codes. */
  values(name: string): Promise<(rows: RowRange) => Promise<Float32Array<ArrayBuffer>>>;
  /** Files beside the weights to take over, by their names. */
  readonly lineage: readonly string[];
  /** What the user should know of, a sentence each. */
  readonly warnings: readonly string[];
}

/** Throws where something is wrong with a checkpoint's tensors, the first problems in a sentence. */
export function refuseProblems(path: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  throw new TypeError(`Cannot load "${path}": ${problems.slice(0, 5).join("; ")}${more}`);
}

/** The same by the names that manifests have for them. */
export function importOptions(
  { use_biases: useBiases, ...options }: Omit<ImportOptions, "useBiases"> & {
    readonly use_biases?: boolean | undefined;
  },
): ImportOptions {
  return { ...options, useBiases };
}
