import type { Kernel } from "./kernel.ts";

/** Element type in device memory. Codes below 32 bits travel packed in `u32`, `f16` two to a word. */
export type DType = "f32" | "f16" | "i32" | "u32";

/** What a tensor is, without its data. Row-major, outermost axis first. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A tensor you may read but do not own. Kernels take these. */
export interface TensorRef extends TensorSpec {
  /** The same memory under another shape with equally many elements. */
  view(shape: readonly number[]): TensorRef;
}

/** A tensor you own: bind it with `using`, or return it to someone who will. */
export interface Tensor extends TensorRef, Disposable {}

/** A tensor in host memory: what references compute on and `read` returns. */
export interface HostTensor extends TensorSpec {
  readonly data: Float32Array | Float16Array | Int32Array | Uint32Array;
}

/** Whether launches run on a graphics processor or on the CPU through a software driver. */
export type AdapterClass = "gpu" | "software";

/** The only hardware facts a plan may look at. */
export interface Limits {
  readonly adapter: AdapterClass;
  /** Bytes of workgroup memory. */
  readonly groupBytes: number;
  readonly groupThreads: number;
  /** Most workgroups along one axis of a grid. */
  readonly gridAxis: number;
  /** Bytes a launch can see of one tensor. */
  readonly bindingBytes: number;
  /** Threads that run in lockstep and may exchange values, 0 where the device cannot say. */
  readonly subgroup: number;
}

/** Tensors by name; the optional ones may be left out. */
export type Inputs<In extends string, Opt extends In> =
  & Readonly<Record<Exclude<In, Opt>, TensorRef>>
  & Readonly<Partial<Record<Opt, TensorRef>>>;

/** Launches that were put on record, to be repeated on what their inputs hold by then. */
export interface Recording extends Disposable {
  /** What was made; holds values from one replay to the next of any recording. */
  readonly outputs: readonly Tensor[];
  readonly launches: number;
  /** Launches all of it, and says so after each launch; throws where an input was disposed. */
  replay(after?: (launch: number) => void): void;
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
