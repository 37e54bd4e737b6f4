import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { zeros } from "../../kernels/device/tensor.ts";
import { gram } from "../../kernels/mod.ts";
import { release } from "../../kernels/device/release.ts";

/**
 * Most bytes of a tensor of rows: adding 2,048 rows to it takes 5.5e11 operations, and what takes seconds
 * in one launch is ended by systems that wait for their screen.
 */
export const MOST_PANEL_BYTES = 2 ** 29;

/** A sum of x x^T over rows x, held on the device in as many tensors of rows as bindings ask for. */
export class GramMatrix implements Disposable {
  readonly columns: number;
  readonly dtype = "F32";
  readonly #device: Device;
  readonly #height: number;
  readonly #panels: readonly Tensor[];
  readonly #owned = new DisposableStack();

  constructor(device: Device, columns: number) {
    this.columns = columns;
    this.#device = device;
    const panelBytes = Math.min(device.limits.bindingBytes, MOST_PANEL_BYTES);
    this.#height = Math.min(columns, 4 * Math.floor(panelBytes / (16 * columns)));
    if (this.#height === 0) {
      throw new RangeError(
        `Cannot hold a Gram matrix of ${columns} columns: four rows take ${
          16 * columns
        } bytes, expected at most ${device.limits.bindingBytes}`,
      );
    }
    using stack = new DisposableStack();
    this.#panels = Array.from({ length: Math.ceil(columns / this.#height) }, (_, index) => {
      const held = Math.min(this.#height, columns - index * this.#height);
      return stack.use(
        device.upload(zeros({ dtype: "f32", shape: [held, columns] }), "Gram matrix"),
      );
    });
    this.#owned.use(stack.move());
  }

  /** Adds `factor` times the products of the rows of `x` f32 [rows, columns]. */
  add(x: TensorRef, factor = 1): void {
    this.#panels.forEach((sum, index) => {
      this.#device.run(gram, { x, sum }, { first: index * this.#height, factor });
    });
  }

  /** Adds the products of the rows of one expert, `bounds[expert]` to `bounds[expert + 1]`. */
  addExpert(
    x: TensorRef,
    { bounds, expert }: { readonly bounds: TensorRef; readonly expert: number },
  ): void {
    this.#panels.forEach((sum, index) => {
      this.#device.run(gram, { x, sum, bounds }, { first: index * this.#height, expert });
    });
  }

  /** The whole symmetric matrix [columns, columns]. */
  async read(): Promise<Float32Array<ArrayBuffer>> {
    const { columns } = this;
    let whole: Float32Array<ArrayBuffer> | undefined;
    let filled = 0;
    for await (const rows of this.pieces()) {
      whole ??= new Float32Array(columns * columns);
      whole.set(rows, filled);
      filled += rows.length;
      release(rows);
    }
    return whole ?? new Float32Array(0);
  }

  /** The same row after row, some at a time; nothing where it is counted and not computed. */
  async *pieces(): AsyncGenerator<Float32Array<ArrayBuffer>> {
    const { columns } = this;
    for (const [index, panel] of this.#panels.entries()) {
      const rows = await this.#panel(panel);
      if (rows.length === 0) return;
      // Panels have what lies behind the diagonal; what lies before it is in those of earlier rows.
      for (const [earlier, panel] of this.#panels.slice(0, index + 1).entries()) {
        const behind = earlier === index ? rows : await this.#panel(panel);
        mirror(rows, behind, { columns, to: index * this.#height, from: earlier * this.#height });
        if (behind !== rows) release(behind);
      }
      yield rows;
    }
  }

  get shape(): readonly [number, number] {
    return [this.columns, this.columns];
  }

  /** Bytes of the whole matrix. */
  get bytes(): number {
    return 4 * this.columns ** 2;
  }

  /** Bytes of the largest piece, and of what is read beside it. */
  get pieceBytes(): number {
    return (this.#panels.length > 1 ? 2 : 1) * 4 * this.#height * this.columns;
  }

  async #panel(panel: Tensor): Promise<Float32Array<ArrayBuffer>> {
    return (await this.#device.read(panel)).data as Float32Array<ArrayBuffer>;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Fills in what some rows have before the diagonal from rows that have it behind theirs, or from themselves. */
function mirror(
  rows: Float32Array,
  behind: Float32Array,
  { columns, to, from }: { readonly columns: number; readonly to: number; readonly from: number },
): void {
  const count = behind.length / columns;
  for (let row = 0; row * columns < rows.length; row++) {
    const column = to + row;
    const end = Math.min(count, column - from);
    for (let j = 0; j < end; j++) rows[row * columns + from + j] = behind[j * columns + column]!;
  }
}
