import type { Artifact } from "../../../pipeline/artifact.ts";

/** The number an artifact holds. */
export async function readNumber({ path }: Artifact): Promise<number> {
  return Number(await Deno.readTextFile(`${path}/number`));
}

/** Writes the number of an artifact. */
export async function writeNumber(directory: string, value: number): Promise<void> {
  await Deno.writeTextFile(`${directory}/number`, String(value));
}
