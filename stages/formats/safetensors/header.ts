import { ByteFile } from "../byte_file.ts";
import { checkFileLimit, FILE_LIMITS } from "../file_limits.ts";
import { outlineOf } from "../foreign_json.ts";

/** Bits of one element, by safetensors dtype. */
const DTYPE_BITS = {
  F64: 64,
  I64: 64,
  U64: 64,
  C64: 64,
  F32: 32,
  I32: 32,
  U32: 32,
  F16: 16,
  BF16: 16,
  I16: 16,
  U16: 16,
  I8: 8,
  U8: 8,
  BOOL: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

/** Element type as safetensors files name it. */
export type SafetensorsDType = keyof typeof DTYPE_BITS;

/** What a safetensors file holds under one name. */
export interface TensorSpecification {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
}

/** One tensor of a file and its bytes there, counted from the start of the file. */
export interface TensorEntry extends TensorSpecification {
  readonly start: number;
  readonly end: number;
}

/** What a safetensors file says of its tensors. */
export interface SafetensorsHeader {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/**
 * Reads the header of a safetensors file, and nothing else of it.
 *
 * Throws where the file is truncated, where a name comes twice, where dtype, shape and bytes of a
 * tensor disagree, and where the bytes of all tensors do not fill the file, each byte once.
 */
export async function readHeader(path: string): Promise<SafetensorsHeader> {
  using file = ByteFile.open(path);
  return await parseHeader(file);
}

/** Reads the header of an opened safetensors file; see `readHeader()`. */
export async function parseHeader(file: ByteFile): Promise<SafetensorsHeader> {
  const { path, size } = file;
  if (size < 8) {
    throw new RangeError(
      `Cannot read "${path}": it has ${size} bytes, expected a safetensors file`,
    );
  }
  const length = Number(new DataView((await file.read(0, 8)).buffer).getBigUint64(0, true));
  if (length > FILE_LIMITS.safetensorsHeader) {
    throw new SyntaxError(
      `Cannot read "${path}": a header of ${length} bytes, expected a safetensors file`,
    );
  }
  if (8 + length > size) {
    throw new RangeError(
      `Cannot read the header of "${path}": the file has ${size} bytes, expected at least ${
        8 + length
      } (it is truncated, fetch it again)`,
    );
  }
  const header = parseObject(await file.read(8, 8 + length), path);
  const tensors = new Map<string, TensorEntry>();
  for (const [name, entry] of Object.entries(header)) {
    if (name !== "__metadata__") tensors.set(name, checkEntry(name, entry, file, 8 + length));
  }
  checkCover(tensors, file, 8 + length);
  return { path, tensors };
}

/** Throws unless tensors follow each other without holes and overlaps from `base` to the end. */
function checkCover(
  tensors: ReadonlyMap<string, TensorEntry>,
  { path, size }: ByteFile,
  base: number,
): void {
  const order = [...tensors.values()].sort((a, b) => a.start - b.start || a.end - b.end);
  let end = base;
  let before = "the header";
  for (const { name, start, end: next } of order) {
    if (start !== end) {
      throw new RangeError(
        `Cannot read tensor "${name}" of "${path}": it begins at byte ${start}, expected ${end}, ` +
          `where ${before} ends`,
      );
    }
    end = next;
    before = `"${name}"`;
  }
  if (end === size) return;
  throw new RangeError(
    `Cannot read "${path}": the file has ${size} bytes, expected ${end}, where ${before} ends`,
  );
}

function parseObject(bytes: Uint8Array, path: string): Record<string, unknown> {
  const { members: [, entries = 0, inside = 0], depth, values } = outlineOf(
    (at) => bytes[at]!,
    bytes.length,
  );
  if (depth > 3) {
    throw new SyntaxError(
      `Cannot read the header of "${path}": its values are nested ${depth} deep, expected 3`,
    );
  }
  checkFileLimit("tensors", entries, { path, what: `its header has ${entries} entries` });
  const members = { path, what: `the entries of its header have ${inside} members` };
  checkFileLimit("headerMembers", inside, members);
  checkFileLimit("headerValues", values, { path, what: `its header has ${values} values` });
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new SyntaxError(
      `Cannot read the header of "${path}": it is no JSON, expected an object`,
      {
        cause,
      },
    );
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) {
    throw new SyntaxError(`Cannot read the header of "${path}": it is no object, expected one`);
  }
  const held: readonly unknown[] = Object.values(header);
  const inner = held.reduce((sum: number, entry) => sum + keysOf(entry), 0);
  if (held.length === entries && inner === inside) {
    return header as Record<string, unknown>;
  }
  throw new SyntaxError(
    `Cannot read the header of "${path}": a name comes twice, expected each once`,
  );
}

/** Members of a value, if it is an object. */
function keysOf(value: unknown): number {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? Object.keys(value).length : 0;
}

function checkEntry(name: string, entry: unknown, file: ByteFile, base: number): TensorEntry {
  const at = `tensor "${name}" of "${file.path}"`;
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(DTYPE_BITS, dtype)) {
    throw new TypeError(
      `Cannot read ${at}: its dtype is ${JSON.stringify(dtype)}, expected one of ${
        Object.keys(DTYPE_BITS).join(", ")
      }`,
    );
  }
  if (!isCounts(shape)) {
    throw new TypeError(
      `Cannot read ${at}: its shape is ${JSON.stringify(shape)}, expected a list of counts`,
    );
  }
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw new TypeError(
      `Cannot read ${at}: its data_offsets are ${JSON.stringify(offsets)}, expected two counts`,
    );
  }
  const [start, end] = offsets as [number, number];
  const specification = { name, dtype: dtype as SafetensorsDType, shape };
  const bits = shape.reduce((count, size) => count * size, DTYPE_BITS[specification.dtype]);
  if (!Number.isSafeInteger(bits) || bits % 8 !== 0) {
    throw new RangeError(
      `Cannot read ${at}: ${dtype} [${shape.join(", ")}] are ${bits} bits, expected whole bytes`,
    );
  }
  const bytes = bits / 8;
  if (end - start !== bytes) {
    throw new RangeError(
      `Cannot read ${at}: its bytes ${start} to ${end} are ${end - start}, expected ${bytes} for ` +
        `${dtype} [${shape.join(", ")}]`,
    );
  }
  if (base + end > file.size) {
    throw new RangeError(
      `Cannot read ${at}: the file has ${file.size} bytes, expected at least ${base + end} ` +
        `(it is truncated, fetch it again)`,
    );
  }
  return { ...specification, start: base + start, end: base + end };
}

function isCounts(list: unknown): list is number[] {
  return Array.isArray(list) && list.every((count) => Number.isSafeInteger(count) && count >= 0);
}

/** Bytes a tensor takes in a file. */
export function tensorBytes({ dtype, shape }: Omit<TensorSpecification, "name">): number {
  return Math.ceil(shape.reduce((count, size) => count * size, 1) * DTYPE_BITS[dtype] / 8);
}

/**
 * The first bytes of a file that holds these tensors, and where in the file each begins.
 *
 * Wider elements come first, so that every tensor is aligned to its element.
 */
export function layOutTensors(
  specifications: readonly TensorSpecification[],
): { readonly header: Uint8Array<ArrayBuffer>; readonly starts: ReadonlyMap<string, number> } {
  const order = specifications.toSorted((a, b) => DTYPE_BITS[b.dtype] - DTYPE_BITS[a.dtype]);
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const offsets = new Map<string, number>();
  let end = 0;
  for (const { name, dtype, shape } of order) {
    const start = end;
    end += tensorBytes({ dtype, shape });
    offsets.set(name, start);
    entries[name] = { dtype, shape, data_offsets: [start, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(entries));
  const length = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(" ".charCodeAt(0));
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return {
    header,
    starts: new Map([...offsets].map(([name, offset]) => [name, header.length + offset])),
  };
}
