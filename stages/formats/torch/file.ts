import { ByteFile } from "../byte_file.ts";
import type { RowRange, StoredTensor } from "../checkpoint.ts";
import { type PickleValue, unpickle } from "./pickle.ts";
import { rowRange } from "../rows.ts";
import { TORCH_RULES, TorchTensor } from "./objects.ts";
import { isZip, readZipDirectory, type ZipEntry } from "./zip_directory.ts";

/** What to do with a file that is not read here. */
const WAY_OUT =
  "convert it where you trust it: safetensors.torch.save_file({k: v.contiguous().clone() for k, v in torch.load(FILE).items() if hasattr(v, 'shape')}, 'model.safetensors')";

/** A tensor of a torch file and where its elements lie. */
export interface TorchEntry extends StoredTensor {
  /** File of the archive that holds it, which tied tensors share. */
  readonly storage: string;
  /** Its first element there. */
  readonly offset: number;
}

/** An opened file of `torch.save`: a mapping of names to tensors, whose values are read by ranges. */
export interface TorchFile extends Disposable {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TorchEntry>;
  /** What the mapping holds beside tensors: numbers, texts, null. */
  readonly others: ReadonlyMap<string, unknown>;
  /** Little-endian bytes of some rows of a tensor, of all unless said, in the order of its indices. */
  readRaw(name: string, rows?: RowRange): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Opens a file of `torch.save` without running anything in it.
 *
 * The zip form that torch has written since 1.6, with a mapping of names to tensors in it; any other
 * file is refused in a sentence. Only the archive's directory and the pickle are read.
 */
export async function openTorchFile(path: string): Promise<TorchFile> {
  using stack = new DisposableStack();
  const file = stack.use(ByteFile.open(path));
  if (!await isZip(file)) {
    const [first] = file.size > 0 ? await file.read(0, 1) : [];
    const is = first === 0x80 ? "a pickle in torch's form before 1.6" : "no zip archive";
    throw new TypeError(
      `Cannot read "${path}": it is ${is}, expected a file of torch.save; ${WAY_OUT}`,
    );
  }
  const entries = await readZipDirectory(file);
  const root = rootOf(entries, path);
  await checkByteOrder(file, entries.get(`${root}byteorder`));
  const pickle = entries.get(`${root}data.pkl`)!;
  const found = namedValues(await readPickle(file, pickle), path);
  const tensors = new Map<string, { readonly tensor: TorchTensor; readonly start: number }>();
  const others = new Map<string, unknown>();
  for (const [name, value] of found) {
    if (!(value instanceof TorchTensor)) {
      others.set(name, value);
      continue;
    }
    const { key, length, elementBytes } = value.storage;
    const storage = entries.get(`${root}data/${key}`);
    if (!storage || storage.end - storage.start < length * elementBytes) {
      throw new RangeError(
        `Cannot read tensor "${name}" of "${path}": its storage ${key} has ${
          storage ? `${storage.end - storage.start} bytes` : "no file"
        }, expected ${length * elementBytes} bytes`,
      );
    }
    tensors.set(name, { tensor: value, start: storage.start });
  }
  const owned = stack.move();
  return {
    path,
    tensors: new Map([...tensors].map(([name, { tensor: { storage, offset, shape } }]) => [
      name,
      { name, dtype: storage.dtype, shape, file: path, storage: storage.key, offset },
    ])),
    others,
    async readRaw(name, rows) {
      const found = tensors.get(name);
      if (!found) {
        throw new TypeError(
          `Cannot read tensor "${name}" of "${path}": there is none, expected it among its ${tensors.size} tensors`,
        );
      }
      return await readRows(file, { name, ...found }, rows);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** The directory in the archive, with its slash. */
function rootOf(entries: ReadonlyMap<string, ZipEntry>, path: string): string {
  const found = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (found.length === 1) return found[0]!.slice(0, -"data.pkl".length);
  throw new TypeError(
    `Cannot read "${path}": the archive has ${found.length} files data.pkl in a folder, expected one, as torch.save writes it`,
  );
}

async function checkByteOrder(file: ByteFile, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return;
  const bytes = await file.read(entry.start, Math.min(entry.end, entry.start + 16));
  const order = new TextDecoder().decode(bytes);
  if (order === "little") return;
  throw new TypeError(
    `Cannot read "${file.path}": its byte order is ${JSON.stringify(order)}, expected little`,
  );
}

async function readPickle(file: ByteFile, { start, end }: ZipEntry): Promise<PickleValue> {
  const most = 16 * 2 ** 20;
  try {
    if (end - start > most) {
      throw new RangeError(`it has ${end - start} bytes, expected at most ${most}`);
    }
    return unpickle(await file.read(start, end), TORCH_RULES);
  } catch (cause) {
    throw new TypeError(
      `Cannot read the pickle of "${file.path}": ${(cause as Error).message}; ${WAY_OUT}`,
      { cause },
    );
  }
}

function namedValues(value: PickleValue, path: string): ReadonlyMap<string, PickleValue> {
  const named = value instanceof Map ? value as Map<PickleValue, PickleValue> : undefined;
  if (!named || ![...named.keys()].every((key) => typeof key === "string")) {
    throw new TypeError(
      `Cannot read "${path}": it holds no mapping of names, expected a state dict`,
    );
  }
  return named as Map<string, PickleValue>;
}

/** Bytes that a gather of scattered elements may read at once. */
const WIDEST_GATHER = 256 * 2 ** 20;

async function readRows(
  file: ByteFile,
  { name, tensor, start }: {
    readonly name: string;
    readonly tensor: TorchTensor;
    readonly start: number;
  },
  rows: RowRange | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const { storage: { dtype, elementBytes }, shape, strides, offset } = tensor;
  const range = rowRange({ name, dtype, shape, file: file.path }, rows);
  const sizes = shape.length === 0 ? [] : [range.end - range.start, ...shape.slice(1)];
  const count = sizes.reduce((product, size) => product * size, 1);
  if (count === 0 || range.start === range.end) return new Uint8Array(0);
  const first = offset + range.start * (strides[0] ?? 0);
  const span = 1 + sizes.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, 0);
  const at = start + first * elementBytes;
  const contiguous = span === count && isContiguous(sizes, strides);
  if (!contiguous && Math.max(span, count) * elementBytes > WIDEST_GATHER) {
    throw new RangeError(
      `Cannot read tensor "${name}" of "${file.path}": its elements are scattered over ${
        span * elementBytes
      } bytes for ${
        count * elementBytes
      }, expected them one after another; save it with .contiguous()`,
    );
  }
  const bytes = await file.read(at, at + span * elementBytes);
  return contiguous ? bytes : gather(bytes, { sizes, strides, elementBytes, count });
}

function isContiguous(sizes: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    if (sizes[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= sizes[axis]!;
  }
  return true;
}

/** The elements of a view in the order of its indices. */
function gather(
  bytes: Uint8Array,
  { sizes, strides, elementBytes, count }: {
    readonly sizes: readonly number[];
    readonly strides: readonly number[];
    readonly elementBytes: number;
    readonly count: number;
  },
): Uint8Array<ArrayBuffer> {
  const found = new Uint8Array(count * elementBytes);
  const index = new Array<number>(sizes.length).fill(0);
  let from = 0;
  for (let to = 0; to < found.length; to += elementBytes) {
    for (let i = 0; i < elementBytes; i++) found[to + i] = bytes[from * elementBytes + i]!;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < sizes[axis]!) break;
      from -= strides[axis]! * sizes[axis]!;
      index[axis] = 0;
    }
  }
  return found;
}
