import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { zeros } from "../../kernels/device/tensor.ts";
import { gram } from "../../kernels/mod.ts";

/**
 * Most bytes of a tensor of rows: adding 2,048 rows to it takes 5.5e11 operations, and what takes seconds
 * in one launch is ended by systems that wait for their screen.
 */
export const MOST_PANEL_BYTES = 2 ** 29;

/** A sum of x x^T over rows x, held on the device in as many tensors of rows as bindings ask for. */
export class GramMatrix implements Disposable {
  readonly columns: number;
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
    const whole = new Float32Array(columns * columns);
    for (const [index, panel] of this.#panels.entries()) {
      const { data } = await this.#device.read(panel);
      // Counted and not computed: all of it is without values.
      if (data.length === 0) return new Float32Array(0);
      whole.set(data as Float32Array, index * this.#height * columns);
    }
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < i; j++) whole[i * columns + j] = whole[j * columns + i]!;
    }
    return whole;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
