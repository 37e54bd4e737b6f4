import { CPU_LIMITS } from "./limits.ts";
import { type Block, type Destroyable, Pool } from "./memory.ts";
import { type Copy, PooledDevice, type PreparedLaunches, type Queue } from "./pooled_device.ts";
import type { RecordedLaunch } from "./recording.ts";
import { assertValues, type HostTensor, hostTensor } from "./tensor.ts";

/** A block of host memory. */
interface HostBuffer extends Destroyable {
  readonly bytes: ArrayBuffer;
}

const HOST = {
  largest: Infinity,
  create: (size: number): HostBuffer => ({ bytes: new ArrayBuffer(size), destroy() {} }),
};

/** Runs the references of kernels on the host: slow, exact, and needs no GPU. */
export class ReferenceDevice extends PooledDevice<HostBuffer> {
  constructor() {
    const facts = { limits: CPU_LIMITS, name: "host reference" };
    super(facts, { queue: new References(), pool: new Pool(HOST) });
  }
}

/** Calls a kernel's reference in place of its shader. */
class References implements Queue<HostBuffer> {
  check(): void {}

  write({ buffer }: Block<HostBuffer>, host: HostTensor): void {
    assertValues(host);
    const { dtype, data } = host;
    hostTensor({ dtype, shape: [data.length] }, buffer.bytes).data.set(data as never);
  }

  launch({ kernel, launch, blocks, inputs, options }: RecordedLaunch<HostBuffer>): void {
    const tensors: Record<string, HostTensor> = {};
    [...kernel.inputs, ...kernel.outputs].forEach((name, i) => {
      const spec = inputs[name] ?? launch.outputs[name];
      if (spec) tensors[name] = hostTensor(spec, blocks[i]!.buffer.bytes);
    });
    const results = kernel.reference(tensors, options);
    for (const name of [...kernel.mutates ?? [], ...kernel.outputs]) {
      tensors[name]?.data.set(results[name]!.data as never);
    }
  }

  prepare(launches: readonly RecordedLaunch<HostBuffer>[]): PreparedLaunches {
    return { launch: (index) => this.launch(launches[index]!), [Symbol.dispose]() {} };
  }

  submit(): void {}

  read(
    { buffer }: Block<HostBuffer>,
    bytes: number,
    submit: (copy?: Copy) => void,
  ): Promise<ArrayBuffer> {
    submit();
    return Promise.resolve(buffer.bytes.slice(0, bytes));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
