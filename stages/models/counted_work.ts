import { CountingDevice } from "../../kernels/device/counting.ts";
import type { Inputs, Tensor, TensorSpec } from "../../kernels/device/device.ts";
import type { Kernel } from "../../kernels/device/kernel.ts";
import { byteLength, elements } from "../../kernels/device/tensor.ts";
import { INTEGER_PRODUCTS } from "../../kernels/integer_products.ts";
import type { FloatMatmulOptions } from "../../kernels/matmul.ts";
import * as kernels from "../../kernels/mod.ts";
import { usedColumns } from "../../kernels/parts/output_sizes.ts";

/** What a device gives at most. */
export interface DeviceRates {
  /** GB/s of memory. */
  readonly bandwidth: number;
  /** 10^12 operations a second of dot4I8Packed, which is what WebGPU has: not of tensor cores. */
  readonly integer: number;
  /** 10^12 operations a second in f32. */
  readonly float: number;
}

/** What launches of a kernel come to. */
export interface KernelWork {
  readonly kernel: string;
  launches: number;
  bytes: number;
  operations: number;
  /** Operations of its largest launch, which a card has to end before its system takes it for hung. */
  largest: number;
}

/** Specs of tensors by the names that a kernel has for them. */
export type Given = Readonly<Record<string, TensorSpec | undefined>>;

/** Counts what is launched, by kernel, beside the memory that it takes. */
export class WorkCounter extends CountingDevice {
  readonly work = new Map<string, KernelWork>();

  override run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    const name = NAMES.get(kernel) ?? "?";
    const made = super.run(kernel, inputs, options);
    const none = { kernel: name, launches: 0, bytes: 0, operations: 0, largest: 0 };
    const work = this.work.get(name) ?? none;
    this.work.set(name, work);
    const given = inputs as Given;
    const operations = this.operationsOf(name, given, options);
    work.launches++;
    work.bytes += this.bytesOf(name, given, made);
    work.operations += operations;
    work.largest = Math.max(work.largest, operations);
    return made;
  }

  /** What was launched since this was asked last. */
  taken(): readonly KernelWork[] {
    const taken = [...this.work.values()];
    this.work.clear();
    return taken;
  }

  /** Bytes that a launch must move at least: all it reads and writes once. */
  protected bytesOf(_name: string, given: Given, made: Given): number {
    return [...Object.values(given), ...Object.values(made)]
      .reduce((sum, spec) => sum + (spec ? byteLength(spec) : 0), 0);
  }

  /** Its multiplications and additions; where there are no products, the values that it takes. */
  protected operationsOf(name: string, given: Given, options: unknown): number {
    if (name.startsWith("matmul")) {
      const { begin = 0, end, ...part } = options as FloatMatmulOptions;
      const [rows = 0, words = 0] = given.x!.shape;
      // Bytes lie in words.
      const inner = end ?? words * (given.x!.dtype === "u32" ? 4 : 1);
      return 2 * rows * (inner - begin) * usedColumns(given.weight!.shape[0]!, part);
    }
    const { first = 0, part } = options as { readonly first?: number; readonly part?: string };
    switch (name) {
      case "gram": {
        const [[rows = 0, columns = 0], [held = 0]] = [given.x!.shape, given.sum!.shape];
        return rows * held * (2 * (columns - first) - held);
      }
      case "choleskyPanel": {
        const [held = 0, columns = 0] = given.panel!.shape;
        return held ** 2 * (part === "diagonal" ? held / 3 : columns - first - held);
      }
      case "gptqPanel":
      case "gptqAhead": {
        const [[rows = 0, columns = 0], [held = 0]] = [given.weight!.shape, given.factor!.shape];
        return name === "gptqPanel" ? rows * held ** 2 : 2 * rows * held * (columns - first - held);
      }
      case "attention":
      case "attentionPaged": {
        // Of one sequence, each of whose tokens sees those before it.
        const [rows = 0, heads = 0, size = 0] = given.q!.shape;
        return 2 * heads * size * rows ** 2;
      }
      default:
        return elements(Object.values(given)[0]?.shape ?? []);
    }
  }
}

const NAMES = new Map<unknown, string>(
  Object.entries(kernels).map(([name, kernel]) => [kernel, name]),
);

/**
 * The least that some work can take on a device (the roofline model: Williams, Waterman and Patterson
 * 2009, doi 10.1145/1498765.1498785): of each kernel the longer of moving its bytes and of computing.
 */
export function rooflineSeconds(
  work: readonly Pick<KernelWork, "kernel" | "bytes" | "operations">[],
  rates: DeviceRates,
): number {
  return work.reduce((sum, { kernel, bytes, operations }) => {
    const peak = INTEGER_PRODUCTS.has(kernel) ? rates.integer : rates.float;
    return sum + Math.max(bytes / rates.bandwidth / 1e9, operations / peak / 1e12);
  }, 0);
}
