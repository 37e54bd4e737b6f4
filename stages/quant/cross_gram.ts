import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { u32, zeros } from "../../kernels/device/tensor.ts";
import { addScaled, embed, matmul, transpose } from "../../kernels/mod.ts";
import { MOST_PANEL_BYTES } from "./gram.ts";

/**
 * A sum of x d^T over rows x and what other rows exceed them by, d, held on the device in as many tensors of
 * rows as bindings ask for.
 */
export class CrossGram implements Disposable {
  readonly columns: number;
  readonly #device: Device;
  readonly #panels: readonly { readonly first: number; readonly sum: Tensor }[];
  readonly #owned: DisposableStack;

  constructor(device: Device, columns: number) {
    this.columns = columns;
    this.#device = device;
    const most = Math.min(device.limits.bindingBytes, MOST_PANEL_BYTES);
    const height = Math.max(1, Math.min(columns, Math.floor(most / (4 * columns))));
    using stack = new DisposableStack();
    this.#panels = Array.from({ length: Math.ceil(columns / height) }, (_, index) => {
      const first = index * height;
      const shape = [Math.min(height, columns - first), columns];
      const sum = stack.use(device.upload(zeros({ dtype: "f32", shape }), "cross Gram matrix"));
      return { first, sum };
    });
    this.#owned = stack.move();
  }

  /** Adds rows `x` f32 [rows, columns] and others of the same tokens, which are used up. */
  add(x: TensorRef, others: TransposedRows): void {
    using across = transposed(this.#device, x);
    const { rows: excess } = others;
    this.#device.run(addScaled, { x: across.rows, sum: excess }, { factor: -1 });
    for (const { first, sum } of this.#panels) {
      const { shape } = sum;
      using part = this.#rowsOf(across.rows, { first, held: shape[0]! });
      using y = this.#device.empty({ dtype: "f32", shape });
      this.#device.run(matmul, { x: part.rows, weight: excess, y }, {});
      this.#device.run(addScaled, { x: y, sum }, { factor: 1 });
    }
  }

  /** The whole matrix [columns, columns]. */
  async read(): Promise<Float32Array<ArrayBuffer>> {
    const { columns } = this;
    const whole = new Float32Array(columns * columns);
    for (const { first, sum } of this.#panels) {
      const { data } = await this.#device.read(sum);
      // Counted and not computed: all of it is without values.
      if (data.length === 0) return new Float32Array(0);
      whole.set(data as Float32Array, first * columns);
    }
    return whole;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #rowsOf(
    all: TensorRef,
    { first, held }: { readonly first: number; readonly held: number },
  ): { readonly rows: TensorRef } & Disposable {
    if (held === this.columns) return { rows: all, [Symbol.dispose]() {} };
    const places = Array.from({ length: held }, (_, at) => first + at);
    using tokens = this.#device.upload(u32([held], places));
    const rows = this.#device.empty({ dtype: "f32", shape: [held, all.shape[1]!] });
    this.#device.run(embed, { tokens, embeddings: all, y: rows }, { first: 0 });
    return { rows, [Symbol.dispose]: () => rows[Symbol.dispose]() };
  }
}

/** Rows with rows and columns exchanged, f32 [columns, rows up to a multiple of 8]. */
export interface TransposedRows extends Disposable {
  readonly rows: TensorRef;
}

/** Exchanges rows and columns of f32 [rows, columns]; the copy is the caller's. */
export function transposed(device: Device, x: TensorRef): TransposedRows {
  const { y } = device.run(transpose, { x }, {});
  return { rows: y, [Symbol.dispose]: () => y[Symbol.dispose]() };
}
