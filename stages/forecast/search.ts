import type { Forecast } from "../../pipeline/stage.ts";
import { heldBytes, hostPeak } from "../models/peaks.ts";

/** What a search takes while it works. */
export interface SearchPeak {
  /** Tensors on the device together. */
  readonly phases: readonly (readonly number[])[];
  readonly hostBytes: number;
}

/** Values of a weight searched over at once, and the most bytes of inputs kept for candidates. */
const PIECE_VALUES = 2 ** 24;
const KEPT_BYTES = 2 ** 28;
/** Bytes on the host for each value of a weight that is changed, rounded and packed. */
const WORK_BYTES = 24;

/** A search over candidates by output errors of linears, the largest with so many rows and columns. */
export function linearSearch({ inputs, rows, columns, candidates }: {
  /** Activations that are kept of the linears' input. */
  readonly inputs: number;
  readonly rows: number;
  readonly columns: number;
  readonly candidates: number;
}): SearchPeak {
  const values = Math.min(PIECE_VALUES, rows * columns);
  const given = 4 * inputs * columns;
  const products = 4 * inputs * values / columns;
  const kept = Math.min(KEPT_BYTES, candidates * given);
  return {
    phases: [[given, 4 * values, products], [given, values, products]],
    hostBytes: hostPeak({
      arrays: WORK_BYTES * values + 3 * products + given,
      staged: 4 * values + given + products,
    }) + kept,
  };
}

/** A forecast with searches one after another; the device's pool keeps the blocks of all. */
export function withSearches(forecast: Forecast, searches: readonly SearchPeak[]): Forecast {
  if (searches.length === 0) return forecast;
  return {
    ...forecast,
    deviceBytes: heldBytes(searches.flatMap(({ phases }) => phases)),
    hostBytes: Math.max(forecast.hostBytes, ...searches.map(({ hostBytes }) => hostBytes)),
  };
}
