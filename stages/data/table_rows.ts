import { refuseForeign } from "./foreign_content.ts";
import { jsonElements, jsonLines, rowsLayout } from "./json_rows.ts";
import { isParquet, openParquet } from "./parquet_rows.ts";
import { separatedValues } from "./separated_values.ts";
import { strictText } from "./strict_text.ts";
import { readHead, unpackedChunks } from "./unpack.ts";

/** A row with all its fields, and where it stands. */
export interface TableRow {
  readonly fields: Readonly<Record<string, unknown>>;
  /** Such as `items.jsonl:12`. */
  readonly at: string;
}

/**
 * The rows of JSON lines, of a JSON array of objects or of a parquet file, also in gzip or zstd, in
 * order; throws where a file is something else, or has a row that is no object.
 */
export async function* tableRows(
  path: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<TableRow> {
  const { packing, head } = await readHead(path);
  refuseForeign(head, { path, packing });
  if (isParquet(head)) {
    await using parquet = await openParquet(path, { packing, signal });
    for await (const { value, at } of parquet.rows(parquet.columns)) {
      yield { fields: plainNumbers(value) as TableRow["fields"], at };
    }
    return;
  }
  const beginning = new TextDecoder().decode(head);
  const layout = rowsLayout(beginning);
  if (layout === undefined) {
    const found = separatedValues(beginning, path) ??
      (beginning.trim() === "" ? "empty" : "a text");
    throw new TypeError(
      `Cannot read rows of "${path}": it is ${found}, expected JSON lines, a JSON array or parquet`,
    );
  }
  const pieces = strictText(unpackedChunks(path, { packing, signal }), path);
  const rows = layout === "JSON array" ? jsonElements : jsonLines;
  for await (const { value, at } of rows(pieces, path)) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new TypeError(
        `Cannot read ${at}: it is ${JSON.stringify(value)}, expected an object`,
      );
    }
    yield { fields: value as TableRow["fields"], at };
  }
}

/** Numbers as JSON has them: columns of 64 bits come as bigints. */
function plainNumbers(value: unknown): unknown {
  if (typeof value === "bigint") {
    return BigInt.asIntN(53, value) === value ? Number(value) : String(value);
  }
  if (Array.isArray(value)) return value.map(plainNumbers);
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) {
    return Array.from(value as unknown as Iterable<unknown>, plainNumbers);
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plainNumbers(each)]));
}
