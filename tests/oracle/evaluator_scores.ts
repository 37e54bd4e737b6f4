import { openTunedDevice } from "../../kernels/tuned_device.ts";
import { logLikelihoods } from "../support/log_likelihoods.ts";
import { Model } from "../../stages/models/model.ts";

/** Log-likelihoods of lists of ids, of every one but the first, as the evaluator has them. */
export async function* evaluatorScores(
  path: string,
  lists: Iterable<readonly number[]>,
): AsyncGenerator<Float32Array> {
  await using device = await openTunedDevice();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const { signal } = new AbortController();
  for (const ids of lists) {
    const walk = { context: ids.length, group: 1, signal, progress() {} };
    yield* logLikelihoods(device, model, Uint32Array.from(ids), walk);
  }
}

/** Differences of scores, one by one. */
export interface Differences {
  readonly count: number;
  readonly largest: number;
  /** Means of what was got and of what the evaluator has. */
  readonly means: readonly [got: number, expected: number];
  add(got: number, expected: number): void;
  /** The largest one, and how many there are not, as f32. */
  text(): string;
}

/** Compares scores with the evaluator's. */
export function openDifferences(): Differences {
  let [largest, count, same, got, expected] = [0, 0, 0, 0, 0];
  return {
    get count() {
      return count;
    },
    get largest() {
      return largest;
    },
    get means() {
      return [got / count, expected / count] as const;
    },
    add(one, other) {
      largest = Math.max(largest, Math.abs(one - other));
      if (Math.fround(one) === Math.fround(other)) same++;
      got += one;
      expected += other;
      count++;
    },
    text: () =>
      `${count} scores, largest difference ${largest.toExponential(2)}, ${same} the same as f32`,
  };
}
