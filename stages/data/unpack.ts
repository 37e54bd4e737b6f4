import { createGunzip } from "node:zlib";

/** How the bytes of a file are packed; several packed pieces may follow each other. */
export type Packing = "gzip" | "zstd";

const MAGIC: Readonly<Record<Packing, readonly number[]>> = {
  gzip: [0x1f, 0x8b],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
};

/** Bytes of a file's beginning that are looked at to tell what it is. */
const HEAD_BYTES = 2 ** 16;
/** Bytes that are read at once. */
const PIECE_BYTES = 2 ** 15;

/** Bytes of a file, unpacked, in pieces that follow each other. */
export type Chunks = AsyncIterable<Uint8Array<ArrayBuffer>>;

/** How bytes say at their beginning that they are packed. */
export function packingOf(head: Uint8Array): Packing | undefined {
  const names = Object.keys(MAGIC) as Packing[];
  return names.find((name) => MAGIC[name].every((byte, at) => head[at] === byte));
}

/** The beginning of a file as it is when unpacked, at least 64 KiB where it has as many. */
export async function readHead(
  path: string,
): Promise<{ readonly packing: Packing | undefined; readonly head: Uint8Array<ArrayBuffer> }> {
  const first = await firstBytes(path, 4);
  const packing = packingOf(first);
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of unpackedChunks(path, { packing })) {
    pieces.push(chunk);
    length += chunk.length;
    if (length >= HEAD_BYTES) break;
  }
  const head = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    head.set(piece, at);
    at += piece.length;
  }
  return { packing, head };
}

/** The bytes of a file, unpacked; throws a `SyntaxError` that names it where they cannot be. */
export async function* unpackedChunks(
  path: string,
  { packing, signal, read = () => {} }: {
    readonly packing: Packing | undefined;
    readonly signal?: AbortSignal | undefined;
    /** Told how many bytes of the file as it lies on disk have been read. */
    readonly read?: ((bytes: number) => void) | undefined;
  },
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const stored = storedChunks(path, { signal, read });
  if (packing === undefined) return yield* stored;
  try {
    yield* UNPACK[packing](stored);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new SyntaxError(
      `Cannot unpack "${path}": ${packing} says ${
        (cause as Error).message
      }, expected a whole file; fetch it again`,
      { cause },
    );
  }
}

/**
 * Libraries that know where a file ends and go on with the next packed piece. The platform's streams
 * do not: its gzip fails at a second piece, its zstd leaves it out, and what a cut off file lacks.
 */
const UNPACK: Readonly<
  Record<Packing, (stored: Chunks) => AsyncGenerator<Uint8Array<ArrayBuffer>>>
> = {
  async *gzip(stored) {
    const unpack = createGunzip();
    const unpacked = new Queue();
    unpack.on("data", (chunk) => unpacked.add(chunk));
    const { promise: failed, reject } = Promise.withResolvers<never>();
    failed.catch(() => {});
    unpack.on("error", reject);
    try {
      // A piece is through before the next is read, so that what was read tells how far one is.
      for await (const chunk of stored) {
        const { promise, resolve } = Promise.withResolvers<void>();
        unpack.write(chunk, () => resolve());
        await Promise.race([failed, promise]);
        yield* unpacked.take();
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      unpack.once("end", resolve).end();
      await Promise.race([failed, promise]);
      yield* unpacked.take();
    } finally {
      unpack.destroy();
    }
  },
  async *zstd(stored) {
    const { Decompress } = await import("fzstd");
    const unpacked = new Queue();
    const unpack = new Decompress((chunk) => unpacked.add(chunk));
    for await (const chunk of stored) {
      unpack.push(chunk);
      yield* unpacked.take();
    }
    unpack.push(new Uint8Array(0), true);
    yield* unpacked.take();
  },
};

/** Bytes that a library hands over, until somebody takes them. */
class Queue {
  #chunks: Uint8Array<ArrayBuffer>[] = [];

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk as Uint8Array<ArrayBuffer>);
  }

  take(): readonly Uint8Array<ArrayBuffer>[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    return chunks;
  }
}

async function* storedChunks(
  path: string,
  { signal, read }: {
    readonly signal: AbortSignal | undefined;
    read(bytes: number): void;
  },
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  using file = await Deno.open(path);
  for (let done = 0;;) {
    signal?.throwIfAborted();
    const chunk = new Uint8Array(PIECE_BYTES);
    const count = await file.read(chunk);
    if (count === null) return;
    read(done += count);
    yield chunk.subarray(0, count);
  }
}

async function firstBytes(path: string, count: number): Promise<Uint8Array> {
  for await (const chunk of unpackedChunks(path, { packing: undefined })) {
    return chunk.subarray(0, count);
  }
  return new Uint8Array(0);
}
