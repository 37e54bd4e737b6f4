import type { Limits } from "../device/device.ts";

/** Most columns whose loops the software driver does not cut short (see row_lanes.wgsl). */
const MOST_COLUMNS = 2 ** 18;

/** Whether rows of so many columns are searched by a subgroup of 8 lanes each. */
export function rowLanes(columns: number, { adapter, subgroup }: Limits): boolean {
  return adapter === "software" && subgroup === 8 && columns % 4 === 0 && columns <= MOST_COLUMNS;
}

/** Quads of columns in a lane's chunk: whole turns of 8, at most 128 chunks for each of 8 lanes. */
export function chunkOf(columns: number): number {
  return 8 * Math.ceil(columns / (4 * 8 * 128 * 8));
}
