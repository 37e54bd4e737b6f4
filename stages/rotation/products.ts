import type { Device, HostTensor, Inputs, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { Kernel } from "../../kernels/device/kernel.ts";
import { addScaled, matmul, transpose } from "../../kernels/mod.ts";

/** What some work makes on a device, all of which goes with it. */
export class Products implements Disposable {
  readonly device: Device;
  readonly #stack = new DisposableStack();

  constructor(device: Device) {
    this.device = device;
  }

  /** Uploads a tensor. */
  upload(host: HostTensor, label?: string): Tensor {
    return this.#stack.use(this.device.upload(host, label));
  }

  /** Launches a kernel. */
  run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    const outputs = this.device.run(kernel, inputs, options);
    for (const output of Object.values<Tensor>(outputs)) this.#stack.use(output);
    return outputs;
  }

  /** See `productOf`. */
  times(x: TensorRef, weight: TensorRef): Tensor {
    return this.#stack.use(productOf(this.device, x, weight));
  }

  /** Rows and columns exchanged, see the kernel. */
  transposed(x: TensorRef): Tensor {
    return this.run(transpose, { x }, {}).y;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** x w^T of `x` f32 [rows, inner] and `weight` f32 [outputs, inner], which is the caller's. */
export function productOf(device: Device, x: TensorRef, weight: TensorRef): Tensor {
  const y = device.empty({ dtype: "f32", shape: [x.shape[0]!, weight.shape[0]!] });
  device.run(matmul, { x, weight, y }, {});
  return y;
}

/** Adds a^T b of `a` f32 [rows, m] and `b` f32 [rows, n] to `sum` f32 [m, n]: the gradient of a matrix. */
export function addCross(device: Device, sum: TensorRef, a: TensorRef, b: TensorRef): void {
  using work = new Products(device);
  const x = work.times(work.transposed(a), work.transposed(b));
  device.run(addScaled, { x, sum }, { factor: 1 });
}
