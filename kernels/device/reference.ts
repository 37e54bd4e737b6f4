import type { Device, Inputs, Recording } from "./device.ts";
import type { Kernel } from "./kernel.ts";
import { type Limits, SOFTWARE_LIMITS } from "./limits.ts";
import {
  assertValues,
  describe,
  type HostTensor,
  hostTensor,
  reshape,
  type Tensor,
  type TensorRef,
  type TensorSpec,
} from "./tensor.ts";

/** Runs the references of kernels on the host: slow, exact, and needs no GPU. */
export class ReferenceDevice implements Device {
  readonly name = "host reference";
  readonly limits: Limits = SOFTWARE_LIMITS;
  readonly #live = new Set<HostHeld>();
  #recorded: (() => void)[] | undefined;

  upload(host: HostTensor): Tensor {
    assertValues(host);
    return this.#hold({ ...host, data: host.data.slice() });
  }

  empty(spec: TensorSpec): Tensor {
    return this.#hold(hostTensor(spec));
  }

  write(tensor: TensorRef, host: HostTensor): void {
    dataOf(tensor).set(host.data as never);
  }

  async record(make: () => Promise<readonly Tensor[]>): Promise<Recording> {
    const launches: (() => void)[] = [];
    this.#recorded = launches;
    try {
      const outputs = await make();
      return {
        outputs,
        launches: launches.length,
        replay: (after) =>
          launches.forEach((launch, i) => {
            launch();
            after?.(i);
          }),
        [Symbol.dispose]: () => outputs.forEach((tensor) => tensor[Symbol.dispose]()),
      };
    } finally {
      this.#recorded = undefined;
    }
  }

  run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    const { outputs: made } = kernel.plan(inputs as never, options, this.limits);
    const given = inputs as Readonly<Record<string, TensorRef | undefined>>;
    const hosts: Record<string, HostTensor> = {};
    for (const name of kernel.inputs) {
      const tensor = given[name];
      if (tensor) hosts[name] = { dtype: tensor.dtype, shape: tensor.shape, data: dataOf(tensor) };
    }
    const written = (kernel.mutates ?? []).flatMap((name) => {
      const tensor = given[name];
      return tensor ? [[name, dataOf(tensor)] as const] : [];
    });
    const outputs = kernel.outputs.map((name) =>
      [name, this.#hold(hostTensor(made[name]))] as const
    );
    const places = [...written, ...outputs.map(([name, { data }]) => [name, data] as const)];
    const launch = () => {
      const results = kernel.reference(hosts as never, options);
      for (const [name, data] of places) data.set(results[name].data as never);
    };
    if (this.#recorded) this.#recorded.push(launch);
    else launch();
    return Object.fromEntries<Tensor>(outputs) as Record<Out, Tensor>;
  }

  read(tensor: TensorRef): Promise<HostTensor> {
    const { dtype, shape } = tensor;
    return Promise.resolve({ dtype, shape, data: dataOf(tensor).slice() });
  }

  /** Throws where tensors were left undisposed, and lists them. */
  [Symbol.asyncDispose](): Promise<void> {
    const leaks = [...this.#live].map(describe);
    if (leaks.length > 0) {
      throw new Error(
        `Cannot close the reference device cleanly: ${leaks.length} tensors were not disposed (${
          leaks.slice(0, 8).join("; ")
        })`,
      );
    }
    return Promise.resolve();
  }

  #hold(host: HostTensor): HostHeld {
    const held = new HostHeld(host, () => this.#live.delete(held));
    this.#live.add(held);
    return held;
  }
}

class HostHeld implements Tensor {
  readonly dtype;
  readonly shape;
  #data: HostTensor["data"] | undefined;
  readonly #release: () => void;

  constructor({ dtype, shape, data }: HostTensor, release: () => void) {
    this.dtype = dtype;
    this.shape = shape;
    this.#data = data;
    this.#release = release;
  }

  get data(): HostTensor["data"] {
    if (!this.#data) throw new TypeError(`Cannot use ${describe(this)}: it was disposed`);
    return this.#data;
  }

  view(shape: readonly number[]): TensorRef {
    return new HostHeld(
      { ...reshape({ dtype: this.dtype, shape: this.shape }, shape), data: this.data },
      () => {},
    );
  }

  [Symbol.dispose](): void {
    this.#release();
    this.#data = undefined;
  }
}

function dataOf(tensor: TensorRef): HostTensor["data"] {
  if (!(tensor instanceof HostHeld)) {
    throw new TypeError("Cannot use the tensor: it lives on another device, expected this one");
  }
  return tensor.data;
}
