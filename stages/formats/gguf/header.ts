import type { ByteFile } from "../byte_file.ts";
import { checkFileLimit, FILE_LIMITS } from "../file_limits.ts";
import { checkPlaces, type ListedTensor } from "./tensor_places.ts";

/** A metadata value of a GGUF file; 64-bit integers come as numbers. */
export type GgufValue = number | string | boolean | readonly GgufValue[];

/** What a GGUF file says of itself before its weights. */
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** With their first bytes counted from the start of the file. */
  readonly tensors: readonly ListedTensor[];
}

/** Bytes that the shortest entries take: an empty name with its value, a tensor without axes. */
const LEAST = { metadata: 13, tensor: 24 } as const;

/** How a value is read, by the number that GGUF gives its type. */
const READERS: Readonly<Record<number, (cursor: Cursor) => GgufValue>> = {
  0: (cursor) => cursor.u8(),
  1: (cursor) => cursor.u8() << 24 >> 24,
  2: (cursor) => cursor.u16(),
  3: (cursor) => cursor.u16() << 16 >> 16,
  4: (cursor) => cursor.u32(),
  5: (cursor) => cursor.u32() | 0,
  6: (cursor) => cursor.f32(),
  7: (cursor) => cursor.u8() !== 0,
  8: (cursor) => cursor.string(),
  10: (cursor) => cursor.u64(),
  11: (cursor) => cursor.i64(),
  12: (cursor) => cursor.f64(),
};
const [STRING, LIST] = [8, 9];

/**
 * Reads the metadata and the tensor list of a GGUF file, and nothing of its weights.
 *
 * Throws where the list contradicts itself; whether the file holds all of its tensors is not looked at.
 */
export async function readGgufHeader(file: ByteFile): Promise<GgufHeader> {
  for (let length = 1 << 22;; length *= 4) {
    const whole = length >= file.size;
    const cursor = new Cursor(await file.read(0, Math.min(length, file.size)));
    try {
      return parseHeader(cursor, file.path);
    } catch (error) {
      if (!(error instanceof PastEnd)) throw error;
      if (whole) {
        throw new RangeError(
          `Cannot read the metadata of "${file.path}": the file ends after ${file.size} bytes, ` +
            `expected more (it is truncated, fetch it again)`,
        );
      }
      if (length >= FILE_LIMITS.ggufHeader) {
        throw new RangeError(
          `Cannot read the metadata of "${file.path}": it is longer than ${length} bytes, expected less`,
        );
      }
    }
  }
}

/** Says that the bytes read so far do not hold the whole header. */
class PastEnd extends Error {}

function parseHeader(cursor: Cursor, path: string): GgufHeader {
  const magic = cursor.u32();
  if (magic !== 0x46554747) {
    throw new SyntaxError(`Cannot read "${path}": it does not begin with "GGUF", expected it to`);
  }
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    throw new TypeError(`Cannot read "${path}": its GGUF version is ${version}, expected 2 or 3`);
  }
  const tensorCount = cursor.u64();
  const metadataCount = cursor.u64();
  checkFileLimit("tensors", tensorCount, { path, what: `it lists ${tensorCount} tensors` });
  checkFileLimit("words", metadataCount, { path, what: `its metadata has ${metadataCount} words` });
  cursor.expect(tensorCount * LEAST.tensor + metadataCount * LEAST.metadata);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.string();
    if (metadata.has(key)) {
      throw new TypeError(
        `Cannot read "${path}": its metadata has "${key}" twice, expected each once`,
      );
    }
    metadata.set(key, readValue(cursor, { type: cursor.u32(), key, path }));
  }
  const listed: ListedTensor[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = cursor.string();
    const axes = cursor.u32();
    if (axes > 4) {
      throw new RangeError(`Cannot read tensor "${name}" of "${path}": ${axes} axes, expected 4`);
    }
    const shape = Array.from({ length: axes }, () => cursor.u64()).reverse();
    listed.push({ name, shape, type: cursor.u32(), start: cursor.u64() });
  }
  const alignment = metadata.get("general.alignment") ?? 32;
  const aligned = typeof alignment === "number" && alignment > 0 && alignment <= 1 << 20;
  if (!aligned || alignment % 8 !== 0) {
    throw new TypeError(
      `Cannot read "${path}": general.alignment is ${alignment}, expected a multiple of 8 bytes`,
    );
  }
  checkPlaces(listed, { alignment, path });
  const data = Math.ceil(cursor.position / alignment) * alignment;
  return { metadata, tensors: listed.map((each) => ({ ...each, start: data + each.start })) };
}

function readValue(
  cursor: Cursor,
  { type, key, path, depth = 0 }: {
    readonly type: number;
    readonly key: string;
    readonly path: string;
    readonly depth?: number;
  },
): GgufValue {
  const read = READERS[type];
  if (read) return read(cursor);
  if (type !== LIST) {
    throw new TypeError(
      `Cannot read the metadata "${key}" of "${path}": its type is ${type}, expected 0 to 12`,
    );
  }
  const inner = cursor.u32();
  const length = cursor.u64();
  cursor.listed += length;
  if (inner === STRING) cursor.strings += length;
  const said = (many: string) => ({
    path,
    what: `the lists of its metadata up to "${key}" have ${many}`,
  });
  const nested = `its metadata "${key}" has lists ${depth + 1} deep`;
  checkFileLimit("listDepth", depth + 1, { path, what: nested });
  checkFileLimit("listed", cursor.listed, said(`${cursor.listed} values`));
  checkFileLimit("strings", cursor.strings, said(`${cursor.strings} strings`));
  cursor.expect(length);
  // One that grows would be copied, and its copies kept until they are collected.
  const list = new Array<GgufValue>(length);
  const element = { type: inner, key, path, depth: depth + 1 };
  for (let i = 0; i < length; i++) list[i] = readValue(cursor, element);
  return list;
}

/** Reads little-endian values one after another; throws `PastEnd` where the bytes end. */
class Cursor {
  position = 0;
  /** Values of the lists read so far. */
  listed = 0;
  /** Strings among them. */
  strings = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #step(length: number): number {
    const at = this.position;
    if (at + length > this.#bytes.length) throw new PastEnd();
    this.position = at + length;
    return at;
  }

  /** Throws `PastEnd` unless so many bytes are left. */
  expect(length: number): void {
    if (!(this.position + length <= this.#bytes.length)) throw new PastEnd();
  }

  u8(): number {
    return this.#view.getUint8(this.#step(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#step(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  u64(): number {
    return Number(this.#view.getBigUint64(this.#step(8), true));
  }

  i64(): number {
    return Number(this.#view.getBigInt64(this.#step(8), true));
  }

  f32(): number {
    return this.#view.getFloat32(this.#step(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#step(8), true);
  }

  string(): string {
    const length = this.u64();
    const at = this.#step(length);
    return this.#decoder.decode(this.#bytes.subarray(at, at + length));
  }
}
