import type { Block } from "./memory.ts";
import { reshape, type Tensor, type TensorRef, type TensorSpec } from "./tensor.ts";

/** A tensor in a block of a pool; a view shares the block and its end. */
export class PooledTensor<B = unknown> implements Tensor {
  readonly dtype;
  readonly shape;
  readonly block: Block<B>;
  readonly label: string;
  readonly #owner: { disposed: boolean };
  readonly #release: () => void;

  constructor(
    spec: TensorSpec,
    block: Block<B>,
    label: string,
    release: () => void,
    owner = { disposed: false },
  ) {
    this.dtype = spec.dtype;
    this.shape = spec.shape;
    this.block = block;
    this.label = label;
    this.#release = release;
    this.#owner = owner;
  }

  get disposed(): boolean {
    return this.#owner.disposed;
  }

  view(shape: readonly number[]): TensorRef {
    const spec = reshape({ dtype: this.dtype, shape: this.shape }, shape);
    return new PooledTensor(spec, this.block, this.label, () => {}, this.#owner);
  }

  [Symbol.dispose](): void {
    if (this.#owner.disposed) return;
    this.#owner.disposed = true;
    this.#release();
  }
}
