import type { DataRow } from "./json_rows.ts";
import { type Packing, unpackedChunks } from "./unpack.ts";

/** An opened parquet file: what it says of itself is in memory. */
export interface ParquetFile extends AsyncDisposable {
  readonly columns: readonly string[];
  /** Bytes of some columns when uncompressed, as far as the file says. */
  bytes(columns: readonly string[]): number;
  readonly count: number;
  /** Rows with some of their columns, a group in memory at a time. */
  rows(columns: readonly string[]): AsyncGenerator<DataRow>;
}

/** Whether bytes begin as a parquet file does. */
export function isParquet(head: Uint8Array): boolean {
  return new TextDecoder().decode(head.subarray(0, 4)) === "PAR1";
}

/** Opens a parquet file, on a copy where it is packed; throws a `SyntaxError` where it is damaged. */
export async function openParquet(
  path: string,
  { packing, signal }: {
    readonly packing: Packing | undefined;
    readonly signal: AbortSignal | undefined;
  },
): Promise<ParquetFile> {
  await using stack = new AsyncDisposableStack();
  let place = path;
  if (packing) {
    place = await Deno.makeTempFile({ suffix: ".parquet" });
    stack.defer(() => Deno.remove(place));
    using copy = await Deno.open(place, { write: true });
    for await (const chunk of unpackedChunks(path, { packing, signal })) {
      for (let at = 0; at < chunk.length;) at += await copy.write(chunk.subarray(at));
    }
  }
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } =
    await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  const file = await asyncBufferFromFile(place);
  const { metadata, columns, chunks } = await readingParquet(path, async () => {
    const metadata = await parquetMetadataAsync(file);
    const { children } = parquetSchema(metadata);
    const chunks = metadata.row_groups.flatMap((group) => group.columns).map(({ meta_data }) => ({
      name: meta_data?.path_in_schema[0] ?? "",
      bytes: Number(meta_data?.total_uncompressed_size ?? 0),
    }));
    return { metadata, columns: children.map(({ element }) => element.name), chunks };
  });
  const owned = stack.move();
  return {
    columns,
    count: Number(metadata.num_rows),
    bytes: (columns) =>
      chunks.filter(({ name }) => columns.includes(name))
        .reduce((sum, { bytes }) => sum + bytes, 0),
    async *rows(columns) {
      let rowStart = 0;
      for (const { num_rows } of metadata.row_groups) {
        signal?.throwIfAborted();
        const rowEnd = rowStart + Number(num_rows);
        const wanted = { file, metadata, compressors, parsers, columns: [...columns] };
        const rows = await readingParquet(
          path,
          () => parquetReadObjects({ ...wanted, rowStart, rowEnd }),
        );
        for (const [index, value] of rows.entries()) {
          yield { value, at: `row ${rowStart + index + 1} of "${path}"` };
        }
        rowStart = rowEnd;
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Texts that are no UTF-8 are an error; hyparquet would put U+FFFD in their place. */
const parsers = {
  stringFromBytes(bytes: Uint8Array | undefined): string | undefined {
    try {
      return bytes && strict.decode(bytes);
    } catch (cause) {
      throw new SyntaxError("a value of a column of texts is no UTF-8", { cause });
    }
  },
};

/** Does something with a parquet file; what its reader stumbles over is told in a sentence. */
async function readingParquet<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    // Where bytes are not what they should be, the library misses values.
    const lost = cause instanceof TypeError || cause instanceof RangeError;
    const reason = lost ? "its parts do not fit together" : (cause as Error).message;
    throw new SyntaxError(
      `Cannot read "${path}": ${reason}, expected a whole parquet file; fetch it again`,
      { cause },
    );
  }
}
