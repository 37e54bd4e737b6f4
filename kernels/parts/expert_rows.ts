import type { TensorSpec } from "../device/device.ts";
import { describe } from "../device/tensor.ts";

/**
 * Experts whose rows of x meet weights that lie one below the other: those from `first` on, `count` of
 * them. `most` is how many rows an expert has at most.
 */
export interface ExpertSpan {
  readonly first: number;
  readonly count: number;
  readonly most: number;
}

/** Throws unless `bounds` u32 [experts + 1] is there exactly where experts are, and has all of them. */
export function checkBounds(
  bounds: TensorSpec | undefined,
  experts: Pick<ExpertSpan, "first" | "count"> | undefined,
): void {
  if (bounds === undefined && experts === undefined) return;
  const wanted = experts ? experts.first + experts.count : 0;
  const [held = 0] = bounds?.shape ?? [];
  if (experts && experts.first >= 0 && bounds?.dtype === "u32" && held > wanted) return;
  throw new RangeError(
    `Cannot take rows of experts by ${bounds ? describe(bounds) : "no bounds"}: expected ${
      experts ? `u32[at least ${wanted + 1}]` : "none without experts"
    }`,
  );
}

/** Row tiles that all experts together have at most, where each has whole ones of its own. */
export function expertTiles({ count, most }: ExpertSpan, rows: number, tile: number): number {
  return Math.min(count * Math.ceil(most / tile), rows, count + Math.floor(rows / tile));
}
