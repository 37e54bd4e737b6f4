/** A metadata value and the GGUF type it is written as. */
export type Entry =
  | { readonly u32: number }
  | { readonly u64: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly i32s: readonly number[] }
  | { readonly f32s: readonly number[] };

/** A tensor to write: its axes outermost first, its ggml type by number, its bytes. */
export interface GgufPart {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** What a GGUF file is to hold. */
export interface GgufContent {
  readonly metadata: Readonly<Record<string, Entry>>;
  readonly tensors: readonly GgufPart[];
}

/** The bytes of a GGUF file of version 3. */
export function ggufBytes({ metadata, tensors }: GgufContent): Uint8Array<ArrayBuffer> {
  const alignment = 32;
  const header = [
    ...new TextEncoder().encode("GGUF"),
    ...u32(3),
    ...u64(tensors.length),
    ...u64(Object.keys(metadata).length),
    ...Object.entries(metadata).flatMap(([key, entry]) => [...text(key), ...value(entry)]),
  ];
  const starts: number[] = [];
  let end = 0;
  for (const { name, shape, type, bytes } of tensors) {
    starts.push(end);
    header.push(...text(name), ...u32(shape.length), ...shape.toReversed().flatMap(u64));
    header.push(...u32(type), ...u64(end));
    end += Math.ceil(bytes.length / alignment) * alignment;
  }
  const data = Math.ceil(header.length / alignment) * alignment;
  const file = new Uint8Array(data + end);
  file.set(header);
  tensors.forEach(({ bytes }, i) => file.set(bytes, data + starts[i]!));
  return file;
}

function value(entry: Entry): number[] {
  if ("u32" in entry) return [...u32(4), ...u32(entry.u32)];
  if ("f32" in entry) return [...u32(6), ...f32(entry.f32)];
  if ("bool" in entry) return [...u32(7), entry.bool ? 1 : 0];
  if ("text" in entry) return [...u32(8), ...text(entry.text)];
  if ("u64" in entry) return [...u32(10), ...u64(entry.u64)];
  if ("texts" in entry) return list(8, entry.texts.map(text));
  if ("i32s" in entry) return list(5, entry.i32s.map(u32));
  return list(6, entry.f32s.map(f32));
}

function list(type: number, items: readonly (readonly number[])[]): number[] {
  return [...u32(9), ...u32(type), ...u64(items.length), ...items.flat()];
}

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [...u64(bytes.length), ...bytes];
}

function u32(value: number): number[] {
  return [...new Uint8Array(new Uint32Array([value]).buffer)];
}

function u64(value: number): number[] {
  return [...new Uint8Array(new BigUint64Array([BigInt(value)]).buffer)];
}

function f32(value: number): number[] {
  return [...new Uint8Array(new Float32Array([value]).buffer)];
}
