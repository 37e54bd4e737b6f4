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
  /** Fewest threads of a subgroup, where shaders may use them: a power of two. */
  readonly subgroupThreads?: number;
  /** Which of several plans that make the same bits to take. */
  readonly choices?: Choices;
}

/** Choices between plans that make the same bits; sizes alone decide what is not said. */
export interface Choices {
  /** Attention of few queries: a workgroup for a slice of the keys, whose sums a second shader merges. */
  readonly slices?: boolean;
  /** Products of few rows: threads hand sums round in their subgroup, not in workgroup memory. */
  readonly subgroups?: boolean;
  /** Norms, codes of rows and choices of tokens: threads know things together by their subgroups. */
  readonly rowSubgroups?: boolean;
  /** Attention of few queries: threads of a subgroup hand weights round instead of each making all. */
  readonly keySubgroups?: boolean;
  /** Integer products of many rows: rows and columns that a workgroup makes, 64 unless said. */
  readonly integerTile?: 32 | 64 | 128;
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
