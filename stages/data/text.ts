import { resolveFile } from "../formats/hub/hub.ts";
import { type Split, stories } from "./stories.ts";
import {
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";

/** Bytes of a text: the longest that JavaScript holds as one. */
const LONGEST = 2 ** 29 - 24;

const GENERATED = "stories:";
const SPLITS: readonly Split[] = ["train", "calibration", "test"];

/** How to read a text. */
export interface TextOptions {
  /** Field of JSONL or column of parquet, "text" unless said. */
  readonly field?: string;
  /** Length of generated stories, 100,000 unless said. */
  readonly bytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * The text at a place: a text file as it is, the rows of a .jsonl or .parquet file joined by a
 * blank line, or stories from the built-in generator.
 *
 * A place on the hub, such as `hf:datasets/org/name@revision/test.parquet`, is fetched first.
 */
export async function readSourceText(
  place: string,
  { field = "text", bytes = 100_000, signal }: TextOptions = {},
): Promise<string> {
  const split = splitOf(place);
  if (split !== undefined) return stories({ split, bytes });
  const path = await localFile(place, signal);
  if (path.endsWith(".parquet")) return (await parquetColumn(path, field)).join("\n\n");
  const text = await Deno.readTextFile(path);
  return /\.(jsonl|ndjson)$/.test(path) ? jsonColumn(text, { path, field }).join("\n\n") : text;
}

/** The local files a text rests on, fetched if they must be; none for generated stories. */
export async function textSources(
  place: string,
  { signal }: Pick<TextOptions, "signal"> = {},
): Promise<string[]> {
  return splitOf(place) === undefined ? [await localFile(place, signal)] : [];
}

function splitOf(place: string): Split | undefined {
  if (!place.startsWith(GENERATED)) return undefined;
  const name = place.slice(GENERATED.length);
  const split = SPLITS.find((known) => known === name);
  if (split) return split;
  throw new RangeError(
    `Cannot read "${place}": there is no split "${name}", expected ${SPLITS.join(", ")}`,
  );
}

async function localFile(place: string, signal: AbortSignal | undefined): Promise<string> {
  const path = await resolveFile(place, signal ? { signal } : {});
  try {
    const found = await Deno.stat(path);
    if (found.size > LONGEST && !path.endsWith(".parquet")) {
      throw new RangeError(
        `Cannot read "${place}": it has ${found.size} bytes, expected at most ${LONGEST}; take a ` +
          "part of it",
      );
    }
    if (found.isFile) return path;
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
  throw new TypeError(
    `Cannot read "${place}": there is no such file, expected a text, .jsonl or .parquet file, ` +
      `hf:datasets/organization/name@revision/file or stories:test`,
  );
}

function jsonColumn(
  text: string,
  { path, field }: { readonly path: string; readonly field: string },
): string[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const at = `${path}:${index + 1}`;
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch (cause) {
      throw new SyntaxError(`Cannot read ${at}: it is no JSON, expected an object`, { cause });
    }
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      throw new TypeError(`Cannot read ${at}: it is no object, expected one a line`);
    }
    const value = (row as Record<string, unknown>)[field];
    if (typeof value === "string") return [value];
    throw new TypeError(
      `Cannot read field "${field}" of ${at}: it is ${describe(value)}, expected text; there are ${
        Object.keys(row).join(", ")
      }`,
    );
  });
}

function describe(value: unknown): string {
  return value === undefined ? "missing" : value === null ? "null" : `a ${typeof value}`;
}

/** The rows of one text column of a parquet file; other columns are not read. */
async function parquetColumn(path: string, column: string): Promise<string[]> {
  const file = await asyncBufferFromFile(path);
  const { metadata, columns } = await readingParquet(path, async () => {
    const metadata = await parquetMetadataAsync(file);
    return {
      metadata,
      columns: parquetSchema(metadata).children.map(({ element }) => element.name),
    };
  });
  if (!columns.includes(column)) {
    throw new TypeError(
      `Cannot read column "${column}" of "${path}": there is none, expected one of ${
        columns.join(", ")
      }`,
    );
  }
  const rows = await readingParquet(
    path,
    () => parquetReadObjects({ file, metadata, compressors, columns: [column] }),
  );
  return rows.map((row, index) => {
    const value: unknown = row[column];
    if (typeof value === "string") return value;
    throw new TypeError(
      `Cannot read row ${index + 1} of column "${column}" of "${path}": it is ${
        value === null ? "null" : `a ${typeof value}`
      }, expected text`,
    );
  });
}

/** Does something with a parquet file; what its reader stumbles over is told in a sentence. */
export async function readingParquet<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : cause;
    throw new SyntaxError(`Cannot read "${path}": ${reason}, expected a parquet file`, { cause });
  }
}
