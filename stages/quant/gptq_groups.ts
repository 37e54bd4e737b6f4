import { emptyCodes } from "../../kernels/codes/integer_codes.ts";
import { codeOf, codeRange } from "../../kernels/codes/quantizer.ts";
import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32, u32, zeros } from "../../kernels/device/tensor.ts";
import { gptqAhead, gptqPanel, matmul } from "../../kernels/mod.ts";
import type { CodedWeight } from "./coded_weight.ts";
import { feedbackBegin, orderedRows } from "./gptq.ts";
import { checkFinite, type GptqFactor } from "./gptq_factor.ts";
import { groupColumns, type WeightScheme } from "./schemes.ts";
import {
  gridFor,
  gridWeight,
  type Matrix,
  measureGroups,
  OUTLIERS,
  sharedRanges,
  type WeightGrid,
} from "./weight_grid.ts";

/** What the groups of a weight get when GPTQ reaches them. */
export interface GroupsAlong {
  /** Of one level, in groups of as many columns as the factor's blocks have. */
  readonly scheme: WeightScheme;
  /** Factor on all ranges but those of outliers. */
  readonly ratio: number;
  /** Neighbouring rows that share a scale, a number that divides the rows; 1 where none do. */
  readonly share: number;
}

/**
 * A weight rounded by GPTQ whose groups are measured as GPTQ reaches them, from weights that make up for the
 * errors before (`static_groups` false of the GPTQ code), columns in order.
 *
 * The last group of a scheme with outliers makes up for all others; then it is rounded to nearest, for no
 * columns are left (Zhao et al. 2024, Atom, section 4.1: efeslab/Atom's `gptq.py`).
 */
export async function roundGroups(
  device: Device,
  factor: GptqFactor,
  { rows, columns, values }: Matrix,
  { scheme, ratio, share }: GroupsAlong,
): Promise<CodedWeight> {
  const group = groupColumns(scheme, columns);
  const inOrder = factor.places.every((column, place) => column === columns - 1 - place);
  if (factor.block !== group || columns % group !== 0 || !inOrder) {
    throw new RangeError(
      `Cannot measure groups of ${group} as they are reached: blocks have ${factor.block} columns${
        inOrder ? "" : " in another order"
      }, expected as many in order`,
    );
  }
  checkFinite(values, "weight");
  const groups = columns / group;
  const [low, high] = codeRange(scheme);
  const codes = emptyCodes(values.length, { signed: scheme.zero === "none" });
  const count = values.length / group;
  const grid: WeightGrid = {
    ...{ low, high, zero: scheme.zero, scale: "f16" as const, scheme, rows, columns, group },
    scales: new Float32Array(count),
    zeros: new Float32Array(count),
  };
  const most = Math.floor(device.limits.bindingBytes / (4 * columns));
  const height = Math.max(share, most - most % share);
  for (let first = 0; first < rows; first += height) {
    const held = Math.min(height, rows - first);
    const part = values.subarray(first * columns, (first + held) * columns);
    const made = await roundRows(device, factor, {
      weight: f32([held, columns], orderedRows(part, factor)),
      grid,
      first,
      along: { scheme, ratio, share },
    });
    for (let at = 0; at < made.length; at++) {
      const row = Math.floor(at / columns);
      codes[(first + row) * columns + factor.places[at % columns]!] = made[at]!;
    }
  }
  if (values.length > 0 && grid.scales.length !== rows * groups) {
    throw new RangeError(`Cannot round ${values.length} weights: expected rows of ${columns}`);
  }
  return gridWeight(codes, grid);
}

/** Codes of some rows, in the order of the factor; fills in their part of the grid. */
async function roundRows(
  device: Device,
  { columns, block, panels }: GptqFactor,
  { weight: host, grid, first: top, along: { scheme, ratio, share } }: {
    readonly weight: ReturnType<typeof f32>;
    readonly grid: WeightGrid;
    readonly first: number;
    readonly along: GroupsAlong;
  },
): Promise<ArrayLike<number>> {
  const { low, high, zero } = grid;
  const { outlier_bits: outlierBits, ...plain } = scheme;
  const own: WeightScheme = { ...plain, group: "row" };
  const { dtype, shape } = host;
  const [held = 0] = shape;
  const groups = columns / block;
  using weight = device.upload(host, "weight");
  using delta = device.upload(zeros({ dtype, shape }), "rounding errors");
  using codes = device.empty({ dtype, shape }, "codes");
  using group = device.upload(u32([columns]), "groups");
  let outliers: { readonly first: number; readonly codes: ArrayLike<number> } | undefined;
  for (let k = panels.length - 1; k >= 0; k--) {
    const [first, factor] = [k * block, panels[k]!];
    const begin = feedbackBegin(first + block, columns);
    device.run(matmul, { x: delta, weight: factor, y: codes }, { column: first, begin });
    using found = device.run(gptqAhead, { weight, factor, feedback: codes }, { first }).ahead;
    const ahead: Matrix = { rows: held, columns: block, values: await floatsOf(device, found) };
    const measured = measureGroups(ahead, own);
    // Places run from the last column to the first.
    const place = groups - 1 - k;
    const store = (part: Pick<WeightGrid, "scales" | "zeros">) => {
      part.scales.forEach((scale, row) => grid.scales[(top + row) * groups + place] = scale);
      part.zeros.forEach((zero, row) => grid.zeros[(top + row) * groups + place] = zero);
    };
    if (k === 0 && outlierBits !== undefined) {
      const wide = gridFor(
        ahead,
        { bits: outlierBits, zero: "none", group: "row", levels: 1 },
        measured,
      );
      store(wide);
      const rounded = ahead.values.map((value, i) =>
        codeOf(value, wide.scales[Math.floor(i / block)]!, 0, OUTLIERS)
      );
      outliers = { first, codes: rounded };
      break;
    }
    const shared = sharedRanges(measured, { rows: held, scheme: own, columns: block }, share);
    const part = gridFor(ahead, own, shared, ratio);
    store(part);
    const upload = (values: Float32Array): Tensor => device.upload(f32([held, 1], values));
    using scales = upload(part.scales);
    using zerosOf = zero === "none" ? undefined : upload(part.zeros);
    const grids = { scales, ...zerosOf && { zeros: zerosOf } };
    const inputs = { weight, factor, group, delta, codes, ...grids };
    device.run(gptqPanel, inputs, { first, zero, low, high });
  }
  const made = Float32Array.from(await floatsOf(device, codes));
  for (let at = 0; outliers && at < outliers.codes.length; at++) {
    const row = Math.floor(at / block);
    made[row * columns + outliers.first + at % block] = outliers.codes[at]!;
  }
  return made;
}

async function floatsOf(device: Device, tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
  return (await device.read(tensor)).data as Float32Array<ArrayBuffer>;
}
