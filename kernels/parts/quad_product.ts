import { counts, type Launch } from "../device/kernel.ts";
import type { Limits } from "../device/limits.ts";
import type { ExpertSpan } from "./expert_rows.ts";
import { tileGrid } from "./output_sizes.ts";
import type { ProductSizes } from "./packed_product.ts";
import experts from "./expert_rows.wgsl" with { type: "text" };
import few from "../matmul_int8_few.wgsl" with { type: "text" };
import part from "./matmul_int8.wgsl" with { type: "text" };
import params from "./packed_product.wgsl" with { type: "text" };
import quads from "./matmul_int8_quads.wgsl" with { type: "text" };
import share from "./integer_share.wgsl" with { type: "text" };
import subgroup from "./integer_share_subgroup.wgsl" with { type: "text" };
import tiles from "../matmul_int8_quads.wgsl" with { type: "text" };

/** Inner values whose codes one load brings. */
const RUN = 32;
const THREADS = 256;
/** Threads of a column where there are few rows. */
const SHARE = 32;
const LEAST_SHARE = 4;
/** Rows whose sums a thread holds, and from how many on it makes two columns with what it reads of them. */
const FEW_ROWS = 16;
const TWO_COLUMNS_ROWS = 4;

const parts = [params, part, quads, experts].join("\n");

/** The shaders of an integer product whose words are read by fours. */
export const quadShaders = {
  quads: `${parts}\n${tiles}`,
  quads_few: `${parts}\n${share}\n${few}`,
  quads_subgroup: `${parts}\n${subgroup}\n${few}`,
};

/** Whether rows and groups are whole runs. */
export function inRuns(inner: number, group: number): boolean {
  return inner % RUN === 0 && group % RUN === 0;
}

/** The launch of such a product; sums are whole numbers, so that all plans make the same bits. */
export function quadLaunch(
  { rows, inner, columns, column, row, stride, expert }: ProductSizes,
  { group, experts, tile }: {
    readonly group: number;
    readonly experts: ExpertSpan | undefined;
    /** Rows and columns of a workgroup where there are many. */
    readonly tile: 32 | 64 | 128;
  },
  given: Readonly<Record<string, number | boolean>>,
  { subgroupThreads = 0, choices }: Limits,
): Launch<never> {
  const sizes = counts({ rows, inner, columns, column, row, stride, group, expert });
  const constants = {
    Words: "vec4u",
    ...given,
    EXPERTS: experts !== undefined,
    GROUP_RUNS: given.GROUPED ? group / RUN : 1,
  } as const;
  // Rows that meet the same weights, at most.
  const together = experts?.most ?? rows;
  if (together <= FEW_ROWS) {
    const ROWS = 2 ** Math.ceil(Math.log2(Math.max(1, together)));
    const EACH = ROWS >= TWO_COLUMNS_ROWS ? 2 : 1;
    const shares = choices?.subgroups === true && subgroupThreads >= LEAST_SHARE;
    const threads = shares ? Math.min(SHARE, subgroupThreads) : SHARE;
    return {
      shader: shares ? "quads_subgroup" : "quads_few",
      outputs: {},
      constants: { ...constants, ROWS, EACH, SUMS: ROWS * EACH, SHARE: threads },
      params: sizes,
      grid: tileGrid(
        { rows, columns },
        { rows: FEW_ROWS, columns: THREADS / threads * EACH },
        experts,
      ),
      ...shares && { subgroups: true },
    };
  }
  // Two tiles of few rows would read all weights twice.
  const [HIGH, TILE] = together <= 32 ? [32, 64] : [tile, tile];
  const [down, across] = [HIGH / 16, TILE / 16];
  return {
    shader: "quads",
    outputs: {},
    constants: { ...constants, HIGH, TILE },
    params: sizes,
    grid: tileGrid({ rows, columns }, { rows: HIGH, columns: TILE }, experts),
    // Of 64 inner values: one to begin, those to load both factors, and four times those to add them.
    turns: (1 + (HIGH + TILE) / 64 + 4 * (1 + down + across * (1 + down))) * Math.ceil(inner / 64),
  };
}
