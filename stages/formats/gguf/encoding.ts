/** A metadata value and the type a GGUF file gives it. */
export type GgufEntry =
  | { readonly u32: number }
  | { readonly u64: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly i32s: readonly number[] }
  | { readonly f32s: readonly number[] };

/** Metadata of a GGUF file by key. */
export type GgufEntries = Readonly<Record<string, GgufEntry>>;

/** A tensor to lay out: its axes outermost first, its type as ggml numbers it, and its bytes. */
export interface GgufOutline {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: number;
}

/** Tensors begin at multiples of this many bytes, unless metadata says otherwise. */
export const GGUF_ALIGNMENT = 32;

/** Types of metadata values as GGUF numbers them. */
const U32 = 4;
const I32 = 5;
const F32 = 6;
const BOOL = 7;
const TEXT = 8;
const LIST = 9;
const U64 = 10;

/**
 * The first bytes of a GGUF file of version 3, up to its first tensor, and where in the file each
 * tensor begins.
 */
export function encodeGguf(
  { metadata, tensors }: {
    readonly metadata: GgufEntries;
    readonly tensors: readonly GgufOutline[];
  },
): { readonly header: Uint8Array<ArrayBuffer>; readonly starts: readonly number[] } {
  const sink = new ByteSink();
  sink.bytes(new TextEncoder().encode("GGUF"));
  sink.u32(3);
  sink.u64(tensors.length);
  sink.u64(Object.keys(metadata).length);
  for (const [key, entry] of Object.entries(metadata)) {
    sink.text(key);
    writeEntry(sink, entry);
  }
  const offsets: number[] = [];
  let end = 0;
  for (const { name, shape, type, bytes } of tensors) {
    sink.text(name);
    sink.u32(shape.length);
    for (const size of shape.toReversed()) sink.u64(size);
    sink.u32(type);
    sink.u64(end);
    offsets.push(end);
    end += ggufPadded(bytes);
  }
  const header = new Uint8Array(ggufPadded(sink.length));
  header.set(sink.taken());
  return { header, starts: offsets.map((offset) => header.length + offset) };
}

/** Bytes with what fills them up to where the next tensor may begin. */
export function ggufPadded(bytes: number): number {
  return Math.ceil(bytes / GGUF_ALIGNMENT) * GGUF_ALIGNMENT;
}

function writeEntry(sink: ByteSink, entry: GgufEntry): void {
  const one = (type: number, write: () => void) => {
    sink.u32(type);
    write();
  };
  const list = <T>(type: number, values: readonly T[], write: (value: T) => void) =>
    one(LIST, () => {
      sink.u32(type);
      sink.u64(values.length);
      values.forEach(write);
    });
  if ("u32" in entry) one(U32, () => sink.u32(entry.u32));
  else if ("u64" in entry) one(U64, () => sink.u64(entry.u64));
  else if ("f32" in entry) one(F32, () => sink.f32(entry.f32));
  else if ("bool" in entry) one(BOOL, () => sink.bytes(Uint8Array.of(entry.bool ? 1 : 0)));
  else if ("text" in entry) one(TEXT, () => sink.text(entry.text));
  else if ("texts" in entry) list(TEXT, entry.texts, (text) => sink.text(text));
  else if ("i32s" in entry) list(I32, entry.i32s, (value) => sink.u32(value));
  else list(F32, entry.f32s, (value) => sink.f32(value));
}

/** Gathers little-endian values; a vocabulary makes some megabytes of them. */
class ByteSink {
  length = 0;
  #room = new Uint8Array(1 << 16);
  #view = new DataView(this.#room.buffer);
  readonly #encoder = new TextEncoder();

  taken(): Uint8Array {
    return this.#room.subarray(0, this.length);
  }

  bytes(values: Uint8Array): void {
    const at = this.#step(values.length);
    this.#room.set(values, at);
  }

  u32(value: number): void {
    const at = this.#step(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#step(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  f32(value: number): void {
    const at = this.#step(4);
    this.#view.setFloat32(at, value, true);
  }

  text(value: string): void {
    const bytes = this.#encoder.encode(value);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  #step(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#room.length) {
      const room = new Uint8Array(Math.max(2 * this.#room.length, this.length));
      room.set(this.#room);
      this.#room = room;
      this.#view = new DataView(room.buffer);
    }
    return at;
  }
}
