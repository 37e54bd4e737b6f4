import { resolveFile } from "../formats/hub/hub.ts";
import { TEXT_NAMES } from "./named_texts.ts";
import type { Split } from "./stories.ts";

const GENERATED = "stories:";
const SPLITS: readonly Split[] = ["train", "calibration", "test"];

/** The local files a text rests on, fetched if they must be; none for generated stories. */
export async function textSources(
  place: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<string[]> {
  return splitOf(place) === undefined ? [await localFile(place, signal)] : [];
}

/** The part of the generated stories that a place names; undefined for any other place. */
export function splitOf(place: string): Split | undefined {
  if (!place.startsWith(GENERATED)) return undefined;
  const name = place.slice(GENERATED.length);
  const split = SPLITS.find((known) => known === name);
  if (split) return split;
  throw new RangeError(
    `Cannot read "${place}": there is no split "${name}", expected ${SPLITS.join(", ")}`,
  );
}

/** The local file of a place, fetched if it must be; throws where there is none. */
export async function localFile(place: string, signal: AbortSignal | undefined): Promise<string> {
  const path = await resolveFile(place, signal ? { signal } : {});
  const expected = "expected a file of text, JSON lines, a JSON array or parquet, " +
    `hf:datasets/organization/name@revision/file, ${TEXT_NAMES} or stories:test`;
  let found: Deno.FileInfo;
  try {
    found = await Deno.stat(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new TypeError(`Cannot read "${place}": there is no such file, ${expected}`, { cause });
  }
  if (found.isFile) return path;
  throw new TypeError(
    `Cannot read "${place}": it is ${found.isDirectory ? "a directory" : "no file"}, ${expected}`,
  );
}
