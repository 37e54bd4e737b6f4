import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";

/** The rows of one text column of a parquet file; other columns are not read. */
export async function parquetColumn(path: string, column: string): Promise<string[]> {
  const file = await asyncBufferFromFile(path);
  let metadata: FileMetaData;
  try {
    metadata = await parquetMetadataAsync(file);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : cause;
    throw new SyntaxError(`Cannot read "${path}": ${reason}, expected a parquet file`, { cause });
  }
  const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
  if (!columns.includes(column)) {
    throw new TypeError(
      `Cannot read column "${column}" of "${path}": there is none, expected one of ${
        columns.join(", ")
      }`,
    );
  }
  const rows = await parquetReadObjects({ file, metadata, compressors, columns: [column] });
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
