import type { HostTensor } from "../device/device.ts";
import { u32 } from "../device/tensor.ts";
import type { ExpertSpan } from "./expert_rows.ts";
import type { MatmulOptions } from "./output_sizes.ts";

/** The first row of the weight that a row of x meets; undefined where it is of no expert here. */
export function firstRow(
  { row, columns, bounds }: {
    readonly row: number;
    readonly columns: number;
    readonly bounds?: HostTensor | undefined;
  },
  options: Pick<MatmulOptions, "row" | "experts">,
): number | undefined {
  const { experts } = options;
  if (!experts) return options.row ?? 0;
  const ends = bounds!.data.slice(1) as Uint32Array;
  const at = ends.findIndex((end) => row < end) - experts.first;
  return at >= 0 && at < experts.count ? at * columns : undefined;
}

/** Rows of experts that products are tried on: few and many, some without any, and not all of them here. */
export const expertCases: readonly {
  readonly rows: number;
  readonly bounds: HostTensor;
  readonly experts: ExpertSpan;
}[] = [
  { rows: 2, bounds: u32([5], [0, 0, 1, 1, 2]), experts: { first: 0, count: 4, most: 1 } },
  { rows: 10, bounds: u32([5], [0, 3, 3, 9, 10]), experts: { first: 1, count: 3, most: 6 } },
  {
    rows: 150,
    bounds: u32([6], [0, 0, 97, 98, 120, 150]),
    experts: { first: 1, count: 3, most: 97 },
  },
  { rows: 24, bounds: u32([4], [0, 11, 23, 24]), experts: { first: 0, count: 3, most: 12 } },
];
