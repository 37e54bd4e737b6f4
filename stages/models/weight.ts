import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { embed, matmul } from "../../kernels/mod.ts";
import type { Checkpoint, StoredTensor } from "../formats/checkpoint.ts";

const HOST_BYTES = 2 ** 26;

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
  readonly #bias: Tensor | undefined;

  private constructor(
    shape: readonly [number, number],
    parts: readonly Part[],
    bias: Tensor | undefined,
  ) {
    [this.rows, this.columns] = shape;
    this.#parts = parts;
    this.#bias = bias;
  }

  /** Reads a matrix piece by piece; `bias` names a vector added to what it makes. */
  static async load(
    device: Device,
    checkpoint: Checkpoint,
    name: string,
    bias?: string,
  ): Promise<Weight> {
    const stored = checkpoint.tensors.get(name)!;
    const [rows = 0, columns = 0] = stored.shape;
    const dtype = deviceType(stored);
    const rowBytes = columns * (dtype === "f16" ? 2 : 4);
    const most = Math.min(device.limits.bindingBytes, HOST_BYTES);
    const step = Math.max(1, Math.floor(most / rowBytes));
    const parts: Part[] = [];
    try {
      for (let first = 0; first < rows; first += step) {
        const end = Math.min(rows, first + step);
        const bytes = await checkpoint.readRaw(name, { start: first, end });
        const shape = [end - first, columns];
        const data = dtype === "f16"
          ? new Float16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
          : new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
        parts.push({ first, tensor: device.upload({ dtype, shape, data }, name) });
      }
      const vector = bias ? await loadVector(device, checkpoint, bias) : undefined;
      return new Weight([rows, columns], parts, vector);
    } catch (error) {
      for (const { tensor } of parts) tensor[Symbol.dispose]();
      throw error;
    }
  }

  /** The linear layer: x f32 [tokens, columns] to f32 [tokens, rows]. */
  apply(device: Device, x: TensorRef): Tensor {
    const y = device.empty({ dtype: "f32", shape: [x.shape[0]!, this.rows] });
    const bias = this.#bias ? { bias: this.#bias } : {};
    for (const { first, tensor } of this.#parts) {
      device.run(matmul, { x, weight: tensor, y, ...bias }, { column: first });
    }
    return y;
  }

  /** The rows of tokens: u32 [tokens] to f32 [tokens, columns]. */
  embed(device: Device, tokens: TensorRef): Tensor {
    const y = device.empty({ dtype: "f32", shape: [tokens.shape[0]!, this.columns] });
    for (const { first, tensor } of this.#parts) {
      device.run(embed, { tokens, embeddings: tensor, y }, { first });
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
    this.#bias?.[Symbol.dispose]();
  }
}

function deviceType({ name, dtype, file }: StoredTensor): "f16" | "f32" {
  if (dtype === "F16") return "f16";
  if (dtype === "F32") return "f32";
  throw new TypeError(
    `Cannot place "${name}" of ${file} on the device: it is ${dtype}, expected F16 or F32; load the checkpoint first`,
  );
}

/** A vector on the device in single precision, such as a norm's gain. */
export async function loadVector(
  device: Device,
  checkpoint: Checkpoint,
  name: string,
): Promise<Tensor> {
  const values = await checkpoint.read(name);
  return device.upload(f32([values.length], values), name);
}
