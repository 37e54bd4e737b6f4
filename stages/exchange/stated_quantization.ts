import { PLAIN } from "../models/model_record.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { StoredLinear } from "../models/linear.ts";
import { subjectOf } from "./subject.ts";

/** What a checkpoint says of its quantization, in `config.json`; undefined where nothing. */
export function statedQuantization(
  { config }: Pick<Checkpoint, "config">,
): Readonly<Record<string, unknown>> | undefined {
  const stated = (config as Readonly<Record<string, unknown>> | null)?.quantization_config;
  return typeof stated === "object" && stated !== null
    ? stated as Readonly<Record<string, unknown>>
    : undefined;
}

/** The linears of a checkpoint that have a `qweight`, with its shape and that of their scales. */
export function packedLinears(
  { config, tensors, path }: Pick<Checkpoint, "config" | "tensors" | "path">,
): readonly (StoredLinear & {
  readonly words: readonly number[];
  readonly scales: readonly number[];
})[] {
  const found = subjectOf({ config, record: PLAIN }).linears.flatMap((linear) => {
    const words = tensors.get(`${linear.name}.qweight`)?.shape;
    const scales = tensors.get(`${linear.name}.scales`)?.shape;
    return words && scales ? [{ ...linear, words, scales }] : [];
  });
  if (found.length > 0) return found;
  throw new TypeError(
    `Cannot read "${path}": no linear has qweight and scales, expected every quantized one to have them`,
  );
}

/**
 * Inputs that share a scale, from the number of groups and what a config says (-1 for a row); the last
 * group of a row may have fewer.
 */
export function groupOf(
  { name, columns, scales: [groups = 0] }: {
    readonly name: string;
    readonly columns: number;
    readonly scales: readonly number[];
  },
  stated: unknown,
): number | "row" {
  if (typeof stated === "number" && stated > 0 && Math.ceil(columns / stated) === groups) {
    return stated;
  }
  if (groups === 1) return "row";
  if (groups > 0 && columns % groups === 0) return columns / groups;
  throw new RangeError(
    `Cannot read tensor "${name}.scales": it has ${groups} groups, expected a number that divides ${columns} inputs`,
  );
}
