import type { Checkpoint } from "../formats/checkpoint.ts";
import type { Format } from "./format.ts";
import { FORMAT_LOADERS } from "./mod.ts";
import { readProvenance } from "./provenance.ts";

/** Formats by name. */
export const FORMATS: Readonly<Record<string, Format>> = Object.fromEntries(
  await Promise.all(
    Object.entries(FORMAT_LOADERS).map(async ([name, load]) => [name, await load()] as const),
  ),
);

/** The format of a checkpoint of others, by its name and contract; undefined for a plain one. */
export function recognizeFormat(
  checkpoint: Pick<Checkpoint, "config" | "tensors">,
): readonly [name: string, format: Format] | undefined {
  return Object.entries(FORMATS).find(([, format]) => format.recognizes(checkpoint));
}

/** The format that an export's provenance names; undefined where there is none. */
export async function statedFormat(
  directory: string,
): Promise<readonly [name: string, format: Format] | undefined> {
  const name = (await readProvenance(directory))?.format;
  if (name === undefined) return undefined;
  const format = FORMATS[name];
  if (format) return [name, format];
  throw new TypeError(
    `Cannot read export "${directory}": its format is "${name}", expected one of ${
      Object.keys(FORMATS).join(", ")
    }`,
  );
}
