import type { Checkpoint } from "./checkpoint.ts";

/** A checkpoint of headers alone: what is read of it has no values. */
export function headerCheckpoint(
  { config, tensors }: Pick<Checkpoint, "config" | "tensors">,
): Checkpoint {
  return {
    path: "none",
    config,
    tokenizer: undefined,
    files: new Map(),
    tensors,
    read: () => Promise.resolve(new Float32Array(0)),
    readRaw: () => Promise.resolve(new Uint8Array(0)),
    sources: [],
    [Symbol.dispose]() {},
  };
}
