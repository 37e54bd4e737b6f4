/** The only hardware facts a launch may be decided from. */
export interface Limits {
  /** Whether launches run through WebGPU or on the CPU engine. */
  readonly adapter: "gpu" | "cpu";
  /** Bytes of workgroup memory. */
  readonly groupBytes: number;
  readonly groupThreads: number;
  /** Most workgroups along one axis of a grid. */
  readonly gridAxis: number;
  /** Bytes a launch can see of one tensor. */
  readonly bindingBytes: number;
  /** Loop turns of an invocation behind which a driver ends its loops without a word. */
  readonly turns?: number;
}

/** What WebGPU promises on any adapter: what a device has that was asked for nothing more. */
export const PROMISED_LIMITS: Limits = {
  adapter: "gpu",
  groupBytes: 16384,
  groupThreads: 256,
  gridAxis: 65535,
  bindingBytes: 2 ** 27,
};

/** What most graphics processors have, for planning where none is known. */
export const USUAL_LIMITS: Limits = {
  adapter: "gpu",
  groupBytes: 32768,
  groupThreads: 1024,
  gridAxis: 65535,
  bindingBytes: 2 ** 31 - 4,
};

/** What the CPU engine has: nothing that a launch must be cut for, but that a tensor lies in one memory. */
export const CPU_LIMITS: Limits = {
  adapter: "cpu",
  groupBytes: 2 ** 31,
  groupThreads: 1024,
  gridAxis: 2 ** 31,
  bindingBytes: 2 ** 31,
};
