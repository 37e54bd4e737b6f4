import { strict as assert } from "node:assert";
import { heldBits } from "../../../kernels/codes/integer_codes.ts";
import { floatLayout, groupedLayout, integerLayout } from "../../../kernels/codes/layout.ts";
import { f32, u32 } from "../../../kernels/device/tensor.ts";
import { matmulCodes, matmulGroups, matmulInt8 } from "../../../kernels/mod.ts";
import { codedValues } from "../../../stages/quant/coded_weight.ts";
import { groupColumns, type WeightScheme, weightScheme } from "../../../stages/quant/schemes.ts";
import { packWeight } from "../../../stages/quant/stored_weight.ts";
import { gridOf, roundToNearest } from "../../../stages/quant/weight_grid.ts";
import { normals } from "../../support/random.ts";

const [ROWS, COLUMNS] = [5, 24];

const FLOATS = [
  { group: 8 },
  { group: 8, bits: 3 },
  { group: "row", bits: 8, zero: "pre_scale" },
  { group: "tensor", zero: "none" },
  { group: 8, bits: 8, zero: "none" },
] as const;

const INTEGERS = [
  { group: "row" },
  { group: "row", zero: "pre_scale" },
  { group: "row", zero: "none", bits: 3 },
  { group: "tensor", zero: "none", bits: 8 },
  { group: 8, levels: 2 },
  { group: 8, levels: 2, zero: "pre_scale" },
  { group: 8, levels: 2, zero: "none" },
  { group: 8, levels: 2, zero: "none", bits: 2 },
] as const;

const GROUPS = [
  { group: 8, zero: "none" },
  { group: 8, zero: "none", full: true, bits: 3 },
  { group: 8, zero: "pre_scale" },
  { group: 8, zero: "none", full: true, outlier_bits: 8 },
] as const;

for (const given of FLOATS) {
  Deno.test(`a product of floats gives what codes stand for: ${JSON.stringify(given)}`, () => {
    const scheme = weightScheme.parse(given);
    const { packed, columns } = weightOf(scheme);
    const { codes, groups } = floatLayout(packed);
    const options = {
      bits: heldBits(scheme.bits),
      zero: scheme.zero,
      group: groupColumns(scheme, COLUMNS),
    };
    const inputs = {
      x: f32([COLUMNS, COLUMNS], identity()),
      weight: words(codes),
      groups: words(groups!),
      y: f32([COLUMNS, ROWS]),
    };
    assert.deepEqual(Array.from(matmulCodes.reference(inputs, options).y.data), columns);
  });
}

for (const given of INTEGERS) {
  Deno.test(`a product of bytes gives what codes stand for: ${JSON.stringify(given)}`, () => {
    const scheme = weightScheme.parse(given);
    const { packed, columns } = weightOf(scheme);
    const { codes, rows, groups } = integerLayout(packed);
    const inputs = {
      x: u32([COLUMNS, COLUMNS / 4], new Uint32Array(Int8Array.from(identity()).buffer)),
      x_rows: f32([COLUMNS, 2], new Float32Array(2 * COLUMNS).fill(1)),
      weight: words(codes),
      w_rows: f32([ROWS, 2], rows!),
      ...groups && { groups: words(groups) },
      y: f32([COLUMNS, ROWS]),
    };
    const options = { bits: heldBits(scheme.bits), ...groups && { group: 8 } };
    assert.deepEqual(Array.from(matmulInt8.reference(inputs, options).y.data), columns);
  });
}

for (const given of GROUPS) {
  Deno.test(`a product of groups gives what codes stand for: ${JSON.stringify(given)}`, () => {
    const scheme = weightScheme.parse(given);
    const { packed, columns } = weightOf(scheme);
    const { codes, groups } = groupedLayout(packed);
    const inputs = {
      x: u32([COLUMNS, COLUMNS / 4], new Uint32Array(Int8Array.from(identity()).buffer)),
      // A row of the identity has a 1 in one of its groups.
      x_groups: f32(
        [COLUMNS, 2 * COLUMNS / 8],
        Array.from({ length: COLUMNS * COLUMNS / 8 }, (_, at) => {
          const [row, group] = [Math.floor(8 * at / COLUMNS), at % (COLUMNS / 8)];
          return [1, Number(Math.floor(row / 8) === group)];
        }).flat(),
      ),
      weight: words(codes),
      w_groups: words(groups!),
      y: f32([COLUMNS, ROWS]),
    };
    const options = { group: 8, outliers: scheme.outlier_bits !== undefined };
    assert.deepEqual(Array.from(matmulGroups.reference(inputs, options).y.data), columns);
  });
}

/** A weight in words, and its values column by column, which a product with the identity gives. */
function weightOf(scheme: WeightScheme) {
  const source = normals(JSON.stringify(scheme));
  const values = Float32Array.from({ length: ROWS * COLUMNS }, () => source.next().value);
  const { domain, grid } = gridOf({ rows: ROWS, columns: COLUMNS, values }, scheme);
  const weight = roundToNearest(domain, grid);
  const coded = codedValues(weight);
  const columns = Array.from(
    { length: ROWS * COLUMNS },
    (_, at) => coded[at % ROWS * COLUMNS + Math.floor(at / ROWS)]!,
  );
  return { packed: packWeight(weight), columns };
}

function identity(): Float32Array {
  const values = new Float32Array(COLUMNS ** 2);
  for (let at = 0; at < values.length; at += COLUMNS + 1) values[at] = 1;
  return values;
}

function words(data: Uint32Array<ArrayBuffer>) {
  return u32([ROWS, data.length / ROWS], data);
}
