import type { Checkpoint, RowRange } from "../formats/checkpoint.ts";
import type { Family, Layout } from "./family.ts";

/**
 * What `config.json` says is to be added to the gains of norms as they are stored; what the family has
 * (`gainOffset`) where it says nothing. Other programs do not know it: exports do without it.
 */
export const GAIN_OFFSET = "norm_gain_offset";

/** Tensors of a layout that are gains of norms. */
export function gainsOf({ layers, head }: Pick<Layout, "layers" | "head">): ReadonlySet<string> {
  const feeders = layers.flatMap(({ sites, taps }) => [
    ...sites.flatMap(({ fedBy, outputNorm }) => outputNorm ? [fedBy, outputNorm] : [fedBy]),
    ...Object.values(taps).map(({ fedBy }) => fedBy),
  ]);
  const norms = [...feeders, head.fedBy].filter(({ kind }) => kind === "norm");
  return new Set(norms.map(({ weight }) => weight));
}

/** What is to be added to the gains in the files of a `config.json`. */
export function storedOffset(
  config: unknown,
  { gainOffset = 0 }: Pick<Family, "gainOffset">,
): number {
  const said = (config as Readonly<Record<string, unknown>>)[GAIN_OFFSET];
  return typeof said === "number" ? said : gainOffset;
}

/**
 * A checkpoint in which gains of norms are what rows are multiplied by, and whose config says so; the
 * same checkpoint where they are stored so. They are sums in single precision, as transformers adds.
 */
export function wholeGains(checkpoint: Checkpoint, family: Family): Checkpoint {
  const offset = storedOffset(checkpoint.config, family);
  if (offset === 0) return checkpoint;
  const gains = gainsOf(family.layout(family.config(checkpoint.config)));
  const read = async (name: string, rows?: RowRange) => {
    const values = await checkpoint.read(name, rows);
    return gains.has(name) ? values.map((value) => value + offset) : values;
  };
  return {
    ...checkpoint,
    config: { ...checkpoint.config as object, [GAIN_OFFSET]: 0 },
    tensors: new Map(
      [...checkpoint.tensors].map(([name, stored]) => [
        name,
        gains.has(name) ? { ...stored, dtype: "F32", offset } : stored,
      ]),
    ),
    read,
    readRaw: async (name, rows) =>
      gains.has(name)
        ? new Uint8Array((await read(name, rows)).buffer)
        : await checkpoint.readRaw(name, rows),
    [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
  };
}
