import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { type Split, stories } from "./stories.ts";

const GENERATED = "stories:";
const SPLITS: readonly Split[] = ["train", "calibration", "test"];

/** How to read a text. */
export interface TextOptions {
  /** Field of JSONL or column of parquet. */
  readonly field: string;
  /** Length of generated stories. */
  readonly bytes: number;
  readonly signal?: AbortSignal;
}

/**
 * The text at a place: a text file as it is, the rows of a .jsonl or .parquet file joined by a
 * blank line, or stories from the built-in generator.
 */
export async function readText(place: string, options: TextOptions): Promise<string> {
  if (place.startsWith(GENERATED)) return stories({ split: splitOf(place), bytes: options.bytes });
  await sizeOf(place);
  if (place.endsWith(".parquet")) return joined(await parquetRows(place), place, options.field);
  const text = await Deno.readTextFile(place);
  return place.endsWith(".jsonl") ? joined(jsonRows(text, place), place, options.field) : text;
}

/** The files a text rests on; none for generated stories. */
export async function textSources(place: string): Promise<string[]> {
  if (place.startsWith(GENERATED)) {
    splitOf(place);
    return [];
  }
  await sizeOf(place);
  return [place];
}

function splitOf(place: string): Split {
  const name = place.slice(GENERATED.length);
  const split = SPLITS.find((known) => known === name);
  if (split) return split;
  throw new RangeError(
    `Cannot read "${place}": there is no split "${name}", expected ${SPLITS.join(", ")}`,
  );
}

async function sizeOf(place: string): Promise<void> {
  try {
    const found = await Deno.stat(place);
    if (found.isFile) return;
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
  throw new TypeError(
    `Cannot read "${place}": there is no such file, expected a text, .jsonl or .parquet file, or stories:test`,
  );
}

async function parquetRows(path: string): Promise<readonly Record<string, unknown>[]> {
  return await parquetReadObjects({ file: await asyncBufferFromFile(path), compressors });
}

function jsonRows(text: string, path: string): Record<string, unknown>[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    try {
      return [JSON.parse(line)];
    } catch {
      throw new SyntaxError(`Cannot read ${path}:${index + 1}: it is no JSON, expected an object`);
    }
  });
}

function joined(
  rows: readonly Record<string, unknown>[],
  path: string,
  field: string,
): string {
  return rows.map((row, index) => {
    const value = row[field];
    if (typeof value === "string") return value;
    throw new TypeError(
      `Cannot read row ${
        index + 1
      } of ${path}: field "${field}" is ${typeof value}, expected text; there are ${
        Object.keys(row).join(", ")
      }`,
    );
  }).join("\n\n");
}
