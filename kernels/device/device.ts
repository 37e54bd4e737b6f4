import type { Kernel, Specs } from "./kernel.ts";
import type { Limits } from "./limits.ts";
import type { HostTensor, Tensor, TensorRef, TensorSpec } from "./tensor.ts";

export type { Limits } from "./limits.ts";
export type { DType, HostTensor, Tensor, TensorRef, TensorSpec } from "./tensor.ts";

/** Tensors by name; the optional ones may be left out. */
export type Inputs<In extends string, Opt extends In> = Specs<In, Opt, TensorRef>;

/** Launches that were put on record, to be repeated on what their inputs hold by then. */
export interface Recording extends Disposable {
  /** What was made; holds values from one replay to the next of any recording. */
  readonly outputs: readonly Tensor[];
  readonly launches: number;
  /** Launches all of it, or a part; throws where an input was disposed. */
  replay(part?: ReplayPart): void;
}

/** Which launches of a recording run. */
export interface ReplayPart {
  /** The first, and the one behind the last. */
  readonly from?: number;
  readonly to?: number;
  /** Is told after each. */
  after?(launch: number): void;
}

/** Runs kernels in order. One implementation launches them, one calls their references. */
export interface Device extends AsyncDisposable {
  readonly limits: Limits;
  /** What runs the kernels, for reports. */
  readonly name: string;
  /** Copies host data into a new tensor; `label` names it in an out-of-memory error. */
  upload(host: HostTensor, label?: string): Tensor;
  /** A new tensor with arbitrary content, for kernels that write in place. */
  empty(spec: TensorSpec, label?: string): Tensor;
  /** Overwrites a tensor, or as much of it as there is data, in the order of the launches. */
  write(tensor: TensorRef, host: HostTensor): void;
  /** Launches a kernel; the outputs are yours. */
  run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor>;
  /**
   * Puts the launches of `make` on record instead of running them; the tensors it returns become the
   * recording's. What it uses besides must outlive the recording; `make` cannot upload, write or read.
   */
  record(make: () => Promise<readonly Tensor[]>): Promise<Recording>;
  /** The only wait. */
  read(tensor: TensorRef): Promise<HostTensor>;
}
