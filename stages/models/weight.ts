import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { ExpertSpan } from "../../kernels/parts/expert_rows.ts";
import { embed, matmul } from "../../kernels/mod.ts";
import { type Checkpoint, headerCheckpoint, type StoredTensor } from "../formats/checkpoint.ts";

const HOST_BYTES = 2 ** 26;
const BYTES = { f16: 2, f32: 4 } as const;

/** Where a weight's outputs go: columns of `y` from `column` on, plus those of `bias`. */
export interface OutputColumns {
  readonly y: Tensor;
  readonly column: number;
  /** f32, a value for each column of `y`. */
  readonly bias: Tensor | undefined;
  /** Where rows are those of experts, some of which have their weights here. */
  readonly experts?: { readonly bounds: TensorRef; readonly span: ExpertSpan };
}

/** Consecutive rows of a weight, in one tensor. */
interface Part {
  readonly first: number;
  readonly tensor: Tensor;
}

/** A matrix on the device, in as many tensors as its size asks for. */
export class Weight implements Disposable {
  readonly rows: number;
  readonly columns: number;
  readonly #parts: readonly Part[];

  private constructor(shape: readonly [number, number], parts: readonly Part[]) {
    [this.rows, this.columns] = shape;
    this.#parts = parts;
  }

  /** Whether it lies in one tensor. */
  get whole(): boolean {
    return this.#parts.length === 1;
  }

  /** How many rows like those of a matrix one tensor holds. */
  static rowsAtOnce(device: Device, checkpoint: Checkpoint, name: string): number {
    const stored = checkpoint.tensors.get(name)!;
    const most = Math.min(device.limits.bindingBytes, HOST_BYTES);
    return Math.floor(most / ((stored.shape[1] ?? 0) * BYTES[deviceType(stored)]));
  }

  /** Reads matrices of as many columns, one below the other, piece by piece. */
  static async load(
    device: Device,
    checkpoint: Checkpoint,
    names: readonly string[],
  ): Promise<Weight> {
    const all = names.map((name) => checkpoint.tensors.get(name)!);
    const columns = all[0]!.shape[1] ?? 0;
    const most = Math.min(device.limits.bindingBytes, HOST_BYTES);
    const parts: Part[] = [];
    let rows = 0;
    try {
      for (const group of stackable(all, most)) {
        const dtype = deviceType(group[0]!);
        const held = group.reduce((sum, { shape }) => sum + shape[0]!, 0);
        const step = Math.max(1, Math.floor(most / (columns * BYTES[dtype])));
        for (let first = 0; first < held; first += step) {
          const end = Math.min(held, first + step);
          const data = valuesOf(dtype, await readRows(checkpoint, group, first, end));
          const shape = [end - first, columns];
          parts.push({
            first: rows + first,
            tensor: device.upload({ dtype, shape, data }, group[0]!.name),
          });
        }
        rows += held;
      }
      return new Weight([rows, columns], parts);
    } catch (error) {
      for (const { tensor } of parts) tensor[Symbol.dispose]();
      throw error;
    }
  }

  /** The linear layer: x f32 [tokens, columns] to f32 [tokens, rows]. */
  apply(device: Device, x: TensorRef): Tensor {
    const y = device.empty({ dtype: "f32", shape: [x.shape[0]!, this.rows] });
    this.write(device, x, { y, column: 0, bias: undefined });
    return y;
  }

  /** The same into columns of a wider tensor. */
  write(device: Device, x: TensorRef, { y, column, bias, experts }: OutputColumns): void {
    for (const { first, tensor } of this.#parts) {
      const { bounds, span } = experts ?? {};
      const inputs = { x, weight: tensor, y, ...bias && { bias }, ...bounds && { bounds } };
      device.run(matmul, inputs, { column: column + first, ...span && { experts: span } });
    }
  }

  /** The rows of tokens times a factor: u32 [tokens] to f32 [tokens, columns]. */
  embed(device: Device, tokens: TensorRef, scale: number): Tensor {
    const y = device.empty({ dtype: "f32", shape: [tokens.shape[0]!, this.columns] });
    for (const { first, tensor } of this.#parts) {
      device.run(embed, { tokens, embeddings: tensor, y }, { first, scale });
    }
    return y;
  }

  /** What `rows` rows from `first` on make of x, f32 [tokens, rows]. */
  applyRows(
    device: Device,
    x: TensorRef,
    { first, rows }: { readonly first: number; readonly rows: number },
  ): Tensor {
    const y = device.empty({ dtype: "f32", shape: [x.shape[0]!, rows] });
    for (const part of this.#parts) {
      const start = Math.max(first, part.first);
      const count = Math.min(first + rows, part.first + part.tensor.shape[0]!) - start;
      if (count <= 0) continue;
      const options = { row: start - part.first, rows: count, column: start - first };
      device.run(matmul, { x, weight: part.tensor, y }, options);
    }
    return y;
  }

  /** What the rows make of x, at most `most` rows at a time; each piece is gone after `use`. */
  applyInPieces(
    device: Device,
    x: TensorRef,
    most: number,
    use: (piece: TensorRef, first: number) => void,
  ): void {
    for (const { first, tensor } of this.#parts) {
      const held = tensor.shape[0]!;
      for (let row = 0; row < held; row += most) {
        const rows = Math.min(most, held - row);
        using y = device.empty({ dtype: "f32", shape: [x.shape[0]!, rows] });
        device.run(matmul, { x, weight: tensor, y }, { row, rows });
        use(y, first + row);
      }
    }
  }

  [Symbol.dispose](): void {
    for (const { tensor } of this.#parts) tensor[Symbol.dispose]();
  }
}

/** Matrices that fit into one tensor together, neighbours only; larger ones stand alone. */
function stackable(all: readonly StoredTensor[], most: number): StoredTensor[][] {
  const groups: StoredTensor[][] = [];
  let bytes = 0;
  for (const stored of all) {
    const [rows = 0, columns = 0] = stored.shape;
    const more = rows * columns * BYTES[deviceType(stored)];
    const group = groups.at(-1);
    if (group && group[0]!.dtype === stored.dtype && bytes + more <= most) {
      group.push(stored);
      bytes += more;
    } else {
      groups.push([stored]);
      bytes = more;
    }
  }
  return groups;
}

/** Rows of matrices as if they were one, as they are stored. */
async function readRows(
  checkpoint: Checkpoint,
  group: readonly StoredTensor[],
  start: number,
  end: number,
): Promise<Uint8Array> {
  const [only] = group;
  if (group.length === 1) return await checkpoint.readRaw(only!.name, { start, end });
  const pieces: Uint8Array[] = [];
  let first = 0;
  for (const { name, shape: [rows = 0] } of group) {
    const range = { start: Math.max(0, start - first), end: Math.min(rows, end - first) };
    if (range.start < range.end) pieces.push(await checkpoint.readRaw(name, range));
    first += rows;
  }
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function valuesOf(dtype: "f16" | "f32", bytes: Uint8Array): Float16Array | Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  return dtype === "f16"
    ? new Float16Array(buffer, byteOffset, byteLength / 2)
    : new Float32Array(buffer, byteOffset, byteLength / 4);
}

function deviceType({ name, dtype, file }: StoredTensor): "f16" | "f32" {
  if (dtype === "F16") return "f16";
  if (dtype === "F32") return "f32";
  throw new TypeError(
    `Cannot place "${name}" of ${file} on the device: it is ${dtype}, expected F16 or F32; load the checkpoint first`,
  );
}

/** A matrix in single precision on the device. */
export async function singleWeight(
  device: Device,
  values: Float32Array<ArrayBuffer>,
  shape: readonly [number, number],
): Promise<Weight> {
  const name = "matrix";
  const stored = { name, dtype: "F32", shape, file: name };
  const checkpoint = headerCheckpoint({ config: {}, tensors: new Map([[name, stored]]) });
  const columns = shape[1];
  const readRaw = (_: string, rows = { start: 0, end: shape[0] }) =>
    Promise.resolve(new Uint8Array(values.slice(rows.start * columns, rows.end * columns).buffer));
  return await Weight.load(device, { ...checkpoint, readRaw }, [name]);
}
