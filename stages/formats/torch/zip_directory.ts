import type { ByteFile } from "../byte_file.ts";
import { FILE_LIMITS } from "../file_limits.ts";

/** A file in a zip archive: its bytes as they lie there, counted from the start of the archive. */
export interface ZipEntry {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** Bytes of the fixed parts of the format's records (APPNOTE 4.3). */
const END = 22;
const LOCATOR = 20;
const END_64 = 56;
const LOCAL = 30;
const CENTRAL = 46;

const SIGNATURES = { end: 0x06054b50, locator: 0x07064b50, end64: 0x06064b50 } as const;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;

/** Bytes of a comment at the end, at most. */
const COMMENT = 0xffff;

/** Whether a file begins as zip archives do. */
export async function isZip(file: ByteFile): Promise<boolean> {
  if (file.size < END) return false;
  const view = viewOf(await file.read(0, 4));
  return view.getUint32(0, true) === LOCAL_SIGNATURE;
}

/**
 * The entries of a zip archive by name, from its central directory and local headers alone.
 *
 * Entries must be stored as they are, lie apart from each other and before the directory, and have
 * names of their own; so nothing grows when it is read. Throws a sentence for any other archive.
 */
export async function readZipDirectory(file: ByteFile): Promise<ReadonlyMap<string, ZipEntry>> {
  const { count, start, end } = await findDirectory(file);
  const bytes = await file.read(start, end);
  const view = viewOf(bytes);
  const found: { readonly name: string; readonly header: number; readonly size: number }[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + CENTRAL > bytes.length || view.getUint32(at, true) !== CENTRAL_SIGNATURE) {
      throw broken(file, `entry ${index + 1} of its directory is cut off`, `${count} whole ones`);
    }
    const field = (offset: number) => view.getUint16(at + offset, true);
    const [nameEnd, next] = [
      at + CENTRAL + field(28),
      at + CENTRAL + field(28) + field(30) + field(32),
    ];
    if (next > bytes.length) {
      throw broken(file, `entry ${index + 1} of its directory is cut off`, `${count} whole ones`);
    }
    const name = textOf(bytes.subarray(at + CENTRAL, nameEnd), file);
    const entry = { name, ...wideFields(view, { at, extra: nameEnd, next: nameEnd + field(30) }) };
    checkStored(entry, { flags: field(8), method: field(10) }, file);
    found.push(entry);
    at = next;
  }
  const entries = new Map<string, ZipEntry>();
  for (const entry of found) {
    if (entries.has(entry.name)) {
      throw broken(file, `it has "${entry.name}" twice`, "each name once");
    }
    entries.set(entry.name, await locate(file, entry, start));
  }
  refuseOverlaps(file, found, entries);
  return entries;
}

async function findDirectory(
  file: ByteFile,
): Promise<{ readonly count: number; readonly start: number; readonly end: number }> {
  const tailStart = Math.max(0, file.size - END - COMMENT);
  const tail = viewOf(await file.read(tailStart, file.size));
  let at = tail.byteLength - END;
  while (at >= 0 && !isEnd(tail, at)) at--;
  if (at < 0) {
    throw broken(
      file,
      "it has no directory at its end",
      "a whole archive (it may be truncated, fetch it again)",
    );
  }
  const disk = tail.getUint16(at + 4, true);
  const here: Bounds = {
    count: tail.getUint16(at + 10, true),
    size: tail.getUint32(at + 12, true),
    start: tail.getUint32(at + 16, true),
  };
  if (disk !== 0 && disk !== 0xffff) throw broken(file, "it goes over several files", "one");
  const wide = here.count === 0xffff || here.size === 0xffffffff || here.start === 0xffffffff;
  const { count, size, start } = wide ? await wideDirectory(file, tailStart + at) : here;
  if (count > FILE_LIMITS.zipEntries || size > FILE_LIMITS.zipDirectory) {
    throw broken(
      file,
      `its directory has ${count} entries in ${size} bytes`,
      `at most ${FILE_LIMITS.zipEntries} in ${FILE_LIMITS.zipDirectory}`,
    );
  }
  if (start + size > tailStart + at) {
    throw broken(file, `its directory lies at ${start} to ${start + size}`, "a place in the file");
  }
  return { count, start, end: start + size };
}

interface Bounds {
  readonly count: number;
  readonly size: number;
  readonly start: number;
}

function isEnd(tail: DataView, at: number): boolean {
  return tail.getUint32(at, true) === SIGNATURES.end &&
    at + END + tail.getUint16(at + 20, true) === tail.byteLength;
}

async function wideDirectory(file: ByteFile, end: number): Promise<Bounds> {
  const missing = () =>
    broken(file, "the long form of its directory's place is missing", "one before its end");
  if (end < LOCATOR) throw missing();
  const locator = viewOf(await file.read(end - LOCATOR, end));
  const at = Number(locator.getBigUint64(8, true));
  if (locator.getUint32(0, true) !== SIGNATURES.locator || at + END_64 > end - LOCATOR) {
    throw missing();
  }
  const view = viewOf(await file.read(at, at + END_64));
  if (view.getUint32(0, true) !== SIGNATURES.end64) throw missing();
  const number = (offset: number) => Number(view.getBigUint64(offset, true));
  return { count: number(32), size: number(40), start: number(48) };
}

/** Size and place of an entry, from its extra field where they need 64 bits. */
function wideFields(
  view: DataView,
  { at, extra, next }: { readonly at: number; readonly extra: number; readonly next: number },
): { readonly packed: number; readonly size: number; readonly header: number } {
  let [packed, size, header] = [20, 24, 42].map((offset) => view.getUint32(at + offset, true));
  for (let field = extra; field + 4 <= next;) {
    const length = view.getUint16(field + 2, true);
    if (view.getUint16(field, true) === 1) {
      let from = field + 4;
      const take = (value: number) => {
        if (value !== 0xffffffff || from + 8 > Math.min(next, field + 4 + length)) return value;
        from += 8;
        return Number(view.getBigUint64(from - 8, true));
      };
      // The order of the format: only what is full in the short form is there.
      size = take(size!);
      packed = take(packed!);
      header = take(header!);
    }
    field += 4 + length;
  }
  return { packed: packed!, size: size!, header: header! };
}

function checkStored(
  { name, packed, size }: {
    readonly name: string;
    readonly packed: number;
    readonly size: number;
  },
  { flags, method }: { readonly flags: number; readonly method: number },
  file: ByteFile,
): void {
  if ((flags & 1) !== 0) throw broken(file, `"${name}" is encrypted`, "plain files");
  if (method !== 0 || packed !== size) {
    throw broken(file, `"${name}" is compressed`, "stored files, as torch.save writes them");
  }
}

async function locate(
  file: ByteFile,
  { name, header, size }: {
    readonly name: string;
    readonly header: number;
    readonly size: number;
  },
  directory: number,
): Promise<ZipEntry> {
  const outside = () =>
    broken(file, `"${name}" lies outside of the file`, "a place before its directory");
  if (header + LOCAL > directory) throw outside();
  const view = viewOf(await file.read(header, header + LOCAL));
  if (view.getUint32(0, true) !== LOCAL_SIGNATURE) {
    throw broken(file, `"${name}" is not where its directory says`, "a header there");
  }
  const start = header + LOCAL + view.getUint16(26, true) + view.getUint16(28, true);
  if (start + size > directory) throw outside();
  return { name, start, end: start + size };
}

function refuseOverlaps(
  file: ByteFile,
  found: readonly { readonly name: string; readonly header: number }[],
  entries: ReadonlyMap<string, ZipEntry>,
): void {
  const ordered = found.toSorted((a, b) => a.header - b.header);
  ordered.slice(1).forEach(({ name, header }, index) => {
    const before = entries.get(ordered[index]!.name)!;
    if (header >= before.end) return;
    throw broken(file, `"${name}" and "${before.name}" overlap`, "files that lie apart");
  });
}

function textOf(bytes: Uint8Array, file: ByteFile): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw broken(file, "a name in its directory is no text", "UTF-8");
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function broken({ path }: ByteFile, is: string, expected: string): RangeError {
  return new RangeError(`Cannot read "${path}" as a zip archive: ${is}, expected ${expected}`);
}
