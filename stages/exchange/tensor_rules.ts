import type { StoredTensor } from "../formats/checkpoint.ts";
import { isIdle } from "./unused_tensors.ts";

/** What a tensor should be. */
export interface TensorRule {
  readonly shape: readonly number[];
  readonly dtypes: readonly string[];
  readonly optional: boolean;
}

/** Compares what a checkpoint holds with what its format and architecture ask for, a sentence each. */
export function compareTensors(
  expected: ReadonlyMap<string, TensorRule>,
  tensors: ReadonlyMap<string, StoredTensor>,
): { readonly problems: string[]; readonly unexpected: string[] } {
  const problems: string[] = [];
  for (const [name, { shape, dtypes, optional }] of expected) {
    const stored = tensors.get(name);
    if (!stored) {
      if (!optional) problems.push(`tensor "${name}" is missing`);
      continue;
    }
    const at = `tensor "${name}" in ${stored.file}`;
    if (String(stored.shape) !== String(shape)) {
      problems.push(`${at} is [${stored.shape.join(", ")}], expected [${shape.join(", ")}]`);
    }
    if (!dtypes.includes(stored.dtype)) {
      problems.push(`${at} is ${stored.dtype}, expected ${[...new Set(dtypes)].join(" or ")}`);
    }
  }
  const unexpected = [...tensors.keys()].filter((name) => !expected.has(name) && !isIdle(name));
  return { problems, unexpected };
}
