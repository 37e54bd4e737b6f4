import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { readingParquet, readSourceText, textSources } from "./text.ts";

/** Parts of a text, and about how many bytes of UTF-8 all of it has. */
export interface TextSample {
  readonly parts: readonly string[];
  readonly bytes: number;
}

/** Parts from all over a text: their ratio of tokens to bytes is that of the text to half a percent. */
const PARTS = 8;
const PART_BYTES = 2 ** 12;
const SAMPLE_BYTES = PARTS * PART_BYTES;
/** How much of a text that is generated, or only known from its beginning, is looked at. */
const START_BYTES = 2 ** 17;
const START_ROWS = 256;

/** Looks at some of a text, whose place, field and length `readSourceText` takes as well. */
export async function sampleText(
  place: string,
  { field, bytes }: { readonly field: string; readonly bytes: number },
): Promise<TextSample> {
  const [path] = await textSources(place);
  if (path === undefined) {
    const text = await readSourceText(place, { bytes: Math.min(bytes, START_BYTES) });
    return { parts: partsOf(text), bytes: Math.max(bytes, text.length) };
  }
  if (path.endsWith(".parquet")) return await sampleParquet(path, field);
  using file = await Deno.open(path);
  const { size } = await file.stat();
  if (/\.(jsonl|ndjson)$/.test(path)) return await sampleLines(file, size, field);
  const parts: string[] = [];
  if (size <= SAMPLE_BYTES) parts.push(await readPart(file, 0, size));
  for (let i = 0; i < PARTS && size > SAMPLE_BYTES; i++) {
    parts.push(await readPart(file, Math.floor(i * size / PARTS), PART_BYTES));
  }
  return { parts, bytes: size };
}

/** The field in whole lines at the beginning; where there are none, the lines as they are. */
async function sampleLines(file: Deno.FsFile, size: number, field: string): Promise<TextSample> {
  const start = await readPart(file, 0, Math.min(size, START_BYTES));
  const lines = start.split("\n");
  if (size > START_BYTES) lines.pop();
  try {
    const rows = lines.filter((line) => line.trim() !== "").map((line) => JSON.parse(line));
    const text = textOf(rows, field);
    const share = byteLength(text) / byteLength(lines.join("\n"));
    if (text !== "") return { parts: partsOf(text), bytes: Math.ceil(size * share) };
  } catch {
    // What is no JSON is for the stage to tell.
  }
  return { parts: partsOf(start), bytes: size };
}

async function sampleParquet(path: string, field: string): Promise<TextSample> {
  const file = await asyncBufferFromFile(path);
  return await readingParquet(path, async () => {
    const metadata = await parquetMetadataAsync(file);
    const columns = [field];
    const wanted = { file, metadata, compressors, columns, rowEnd: START_ROWS };
    const rows = await parquetReadObjects(wanted);
    const text = textOf(rows, field);
    if (rows.length === Number(metadata.num_rows)) {
      return { parts: partsOf(text), bytes: byteLength(text) };
    }
    const chunks = metadata.row_groups.flatMap(({ columns }) => columns)
      .filter(({ meta_data }) => meta_data?.path_in_schema[0] === field);
    const bytes = chunks.reduce(
      (sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0),
      0,
    );
    return { parts: partsOf(text), bytes };
  });
}

function partsOf(text: string): string[] {
  if (text.length <= SAMPLE_BYTES) return [text];
  return Array.from({ length: PARTS }, (_, i) => {
    const start = Math.floor(i * text.length / PARTS);
    return text.slice(start, start + PART_BYTES);
  });
}

async function readPart(file: Deno.FsFile, start: number, length: number): Promise<string> {
  const bytes = new Uint8Array(length);
  await file.seek(start, Deno.SeekMode.Start);
  let filled = 0;
  for (;;) {
    const count = await file.read(bytes.subarray(filled));
    if (!count) return new TextDecoder().decode(bytes.subarray(0, filled));
    filled += count;
  }
}

function textOf(rows: readonly Readonly<Record<string, unknown>>[], field: string): string {
  return rows.map((row) => String(row[field] ?? "")).join("\n\n");
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
