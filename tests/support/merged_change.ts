import type { LowRankChange } from "../../stages/formats/peft.ts";

/** Adds what an adapter changes to a weight, row by row, in place: W + scale b a. */
export function mergeChange(
  values: Float32Array,
  { a, b, rank, inputs, outputs, scale }: LowRankChange,
): void {
  for (let row = 0; row < outputs; row++) {
    for (let column = 0; column < inputs; column++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * inputs + column]!;
      values[row * inputs + column]! += scale * sum;
    }
  }
}
