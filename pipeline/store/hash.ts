import { createHash } from "node:crypto";

/** Sha256 of a text's UTF-8 bytes, as hex. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Sha256 of a file's bytes, as hex. */
export async function fileDigest(path: string): Promise<string> {
  using file = await Deno.open(path);
  return (await hashFile(file)).sha256;
}

/** Sha256 of the rest of an open file, as hex, and the bytes it covers. */
export async function hashFile(
  file: Deno.FsFile,
  signal?: AbortSignal,
): Promise<{ readonly sha256: string; readonly size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const bytes of chunksOf(file, signal)) {
    hash.update(bytes);
    size += bytes.length;
  }
  return { sha256: hash.digest("hex"), size };
}

/** The rest of an open file in pieces; each is good until the next is asked for. */
export async function* chunksOf(
  file: Deno.FsFile,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  // Most files are small: a thread to wait for the disk in would take longer than they do.
  const few = new Uint8Array(1 << 16);
  const read = file.readSync(few);
  if (read === null) return;
  yield few.subarray(0, read);
  // Larger buffers are no faster: sha256 is the limit at about 1.1 GB/s.
  const buffer = read < few.length ? few : new Uint8Array(1 << 20);
  for (;;) {
    signal?.throwIfAborted();
    const count = buffer === few ? file.readSync(few) : await file.read(buffer);
    if (count === null) return;
    yield buffer.subarray(0, count);
  }
}
