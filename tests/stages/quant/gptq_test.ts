import { strict as assert } from "node:assert";
import type { Device } from "../../../kernels/device/device.ts";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { Gpu } from "../../../kernels/device/gpu.ts";
import { f32 } from "../../../kernels/device/tensor.ts";
import { type GptqWeight, round } from "../../../stages/quant/gptq.ts";
import {
  factorPanels,
  type GptqFactorOptions,
  prepare,
} from "../../../stages/quant/gptq_factor.ts";
import { GramMatrix } from "../../../stages/quant/gram.ts";
import { choleskyUpper } from "../../support/cholesky.ts";
import { gaussian } from "../../support/gram.ts";
import { DEVICES } from "../../support/devices.ts";

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`GPTQ gives the codes of the reference implementation on ${on}`, async () => {
    const { weight, gram } = golden();
    const grid = gridOf(weight, 8, { zero: "post_scale", group: 4 });
    assert.deepEqual(
      [...grid.scales],
      [0.08331298828125, 0.058319091796875, 0.04998779296875, 0.04998779296875],
    );
    assert.deepEqual([...grid.zeros!], [0.625, 0.375, 0.375, 0.625]);
    assert.deepEqual(
      Array.from({ length: 8 }, (_, c) => gram[c * 9]!.toFixed(5)),
      "10.34375 28.78125 37.15625 9.78125 28.78125 41.28125 12.09375 16.96875".split(" "),
    );
    await using device = await open();
    // Columns 1 and 4 tie; the reference took 4 first since it came out 2e-6 larger. Both ways agree.
    for (const tied of [[4, 1], [1, 4]] as const) {
      const near = gram.slice();
      near[tied[0] * 9] = near[tied[1] * 9]! + 2e-6;
      using factor = await prepare(device, near, { block: 4 });
      assert.deepEqual([...factor.places.toReversed()], [5, 2, ...tied, 7, 6, 0, 3]);
      const codes = await round(device, factor, grid);
      assert.deepEqual([...codes.subarray(0, 8)], [0, 8, 15, 5, 15, 2, 13, 1]);
      assert.deepEqual([...codes.subarray(8)], [3, 15, 0, 13, 3, 15, 0, 13]);
    }
    assert.deepEqual([...nearest(grid, 8).subarray(0, 8)], [0, 8, 15, 6, 15, 2, 13, 0]);
  });

  Deno.test(`GPTQ agrees with its double-precision definition on ${on}`, async () => {
    await using device = await open();
    for (const { columns, rows, block, ...scheme } of SCHEMES) {
      const label = JSON.stringify({ columns, ...scheme });
      const gram = correlated(columns, label);
      const grid = gridOf(gaussian(rows * columns, label), columns, scheme);
      const { codes, tries, damping } = await gptq(device, { ...grid, gram, block });
      assert.deepEqual([tries, damping], [1, 0.01], label);
      const expected = definition(grid, gram, columns, scheme.activationOrder ?? true);
      const differing = Array.from({ length: rows }, (_, row) => row).filter((row) => {
        const part = (all: Int16Array) => all.subarray(row * columns, (row + 1) * columns);
        return part(codes).some((code, c) => code !== part(expected)[c]);
      });
      // A value that lies on a tie up to f32 may go either way, and takes the rest of its row along.
      assert.ok(differing.length <= 1, `${label}: rows ${differing} differ`);
      const error = outputError(grid, codes, gram);
      const plain = outputError(grid, nearest(grid, columns), gram);
      assert.ok(error < 0.8 * plain, `${label}: ${error}, to nearest ${plain}`);
      assert.ok(Math.abs(error / outputError(grid, expected, gram) - 1) < 1e-3, label);
    }
  });

  Deno.test(`a Gram matrix split over tensors is the sum of outer products on ${on}`, async () => {
    const [columns, rows] = [100, 37];
    const x = [gaussian(rows * columns, "first"), gaussian(rows * columns, "second")];
    const expected = new Float64Array(columns * columns);
    for (let r = 0; r < rows; r++) {
      for (let i = 0; i < columns; i++) {
        for (let j = 0; j < columns; j++) {
          expected[i * columns + j]! += x[0]![r * columns + i]! * x[0]![r * columns + j]! +
            0.5 * x[1]![r * columns + i]! * x[1]![r * columns + j]!;
        }
      }
    }
    // The smaller binding holds a dozen rows.
    for (const bindingBytes of [2 ** 27, 4 * columns * 50]) {
      await using device = await open();
      Object.assign(device, { limits: { ...device.limits, bindingBytes } });
      using sum = new GramMatrix(device, columns);
      x.forEach((values, index) => {
        using held = device.upload(f32([rows, columns], values));
        sum.add(held, index === 0 ? 1 : 0.5);
      });
      assert.ok(relative(await sum.read(), expected) < 1e-6);
    }
  });
}

Deno.test("the factor of a matrix is that of double precision on a GPU", async () => {
  await using device = await Gpu.open();
  for (const size of [8, 100, 300, 576]) {
    const matrix = correlated(size, `${size}`);
    for (let i = 0; i < size; i++) matrix[i * (size + 1)]! *= 1.01;
    const v = await factorOf(device, matrix, size);
    const expected = choleskyUpper(matrix, size)!;
    assert.ok(relative(v, expected) < 1e-5, `${size}: ${relative(v, expected)}`);
    assert.ok(relative(product(expected, size), matrix) < 1e-14);
  }
});

Deno.test("an ill-conditioned matrix is factored up to rounding on a GPU", async () => {
  await using device = await Gpu.open();
  // Rank 30 and a diagonal of 1e-5 of the mean: a condition of some 1e6.
  const size = 300;
  const matrix = outer(gaussian(30 * size, "rank"), size);
  const mean = trace(matrix, size) / size;
  for (let i = 0; i < size; i++) matrix[i * (size + 1)]! += 1e-5 * mean;
  const v = await factorOf(device, matrix, size);
  assert.ok(relative(product(v, size), matrix) < 1e-6);
});

Deno.test("one factor serves several weights", async () => {
  await using device = await Cpu.open();
  const gram = correlated(64, "site");
  using factor = await prepare(device, gram, { block: 32 });
  for (const [name, rows] of [["q", 24], ["k", 8]] as const) {
    const grid = gridOf(gaussian(rows * 64, name), 64, { zero: "none", group: 64 });
    const alone = await gptq(device, { ...grid, gram, block: 32 });
    assert.deepEqual(Int16Array.from(await round(device, factor, grid)), alone.codes);
  }
});

Deno.test("rows split over tensors and a second run give the same codes", async () => {
  const gram = correlated(64, "split");
  const grid = gridOf(gaussian(45 * 64, "split"), 64, { zero: "post_scale", group: 16 });
  const codes: Int16Array[] = [];
  for (const bindingBytes of [2 ** 27, 2 ** 27, 4 * 64 * 16]) {
    await using device = await Cpu.open();
    Object.assign(device, { limits: { ...device.limits, bindingBytes } });
    codes.push((await gptq(device, { ...grid, gram, block: 16 })).codes);
  }
  assert.deepEqual(codes[1], codes[0]);
  assert.deepEqual(codes[2], codes[0]);
});

Deno.test("inputs without correlation are rounded to nearest", async () => {
  await using device = await Cpu.open();
  const gram = new Float32Array(32 * 32);
  for (let c = 0; c < 32; c++) gram[c * 33] = 1 + c % 5;
  const grid = gridOf(gaussian(8 * 32, "plain"), 32, { zero: "pre_scale", group: 8 });
  const { codes } = await gptq(device, { ...grid, gram });
  assert.deepEqual(codes, nearest(grid, 32));
});

Deno.test("halves are rounded to even codes", async () => {
  await using device = await Cpu.open();
  const gram = new Float32Array(64);
  for (let c = 0; c < 8; c++) gram[c * 9] = 1;
  const weight = Float32Array.of(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5);
  const scales = Float32Array.of(1);
  const zeros = Float32Array.of(3);
  const [signed, unsigned] = [[-7, 7], [0, 15]] as const;
  const grid = { weight, gram, scales, zeros, group: 8 };
  const none = await gptq(device, { ...grid, zero: "none", range: signed });
  assert.deepEqual([...none.codes], [-2, -2, 0, 0, 2, 2, 4, 4]);
  for (const zero of ["pre_scale", "post_scale"] as const) {
    const { codes } = await gptq(device, { ...grid, zero, range: unsigned });
    assert.deepEqual([...codes], [0, 2, 2, 4, 4, 6, 6, 8]);
  }
});

Deno.test("a column whose input is always zero is rounded as zeros", async () => {
  await using device = await Cpu.open();
  const gram = correlated(32, "dead");
  for (let j = 0; j < 32; j++) gram[5 * 32 + j] = gram[j * 32 + 5] = 0;
  const grid = gridOf(gaussian(6 * 32, "dead"), 32, { zero: "post_scale", group: 8 });
  const { codes } = await gptq(device, { ...grid, gram });
  const zeroed = grid.weight.slice();
  for (let row = 0; row < 6; row++) zeroed[row * 32 + 5] = 0;
  const expected = nearest({ ...grid, weight: zeroed }, 32);
  for (let row = 0; row < 6; row++) {
    assert.equal(codes[row * 32 + 5], expected[row * 32 + 5]);
  }
  const without = definition({ ...grid, weight: zeroed }, gram, 32, true);
  assert.deepEqual(codes, without);
});

Deno.test("a singular Gram matrix is damped until f32 can factor it", async () => {
  await using device = await Cpu.open();
  const gram = new Float32Array(64).fill(1);
  const grid = gridOf(gaussian(4 * 8, "ladder"), 8, { zero: "none", group: 8 });
  // 1 + d leaves 1 in f32 when d is above 2^-24 = 5.96e-8: at 3e-8 * (1 + 0.1 * 10).
  const { tries, damping } = await gptq(device, { ...grid, gram, damping: 3e-8 });
  assert.equal(tries, 11);
  assert.ok(Math.abs(damping - 6e-8) < 1e-12);
  await assert.rejects(
    prepare(device, gram, { damping: 3e-8, tries: 10 }),
    /not positive definite.*after 10 tries/,
  );
});

Deno.test("what cannot be a Gram matrix or a weight is refused", async () => {
  await using device = await Cpu.open();
  const gram = correlated(8, "refused");
  const changed = (at: number, value: number) => gram.with(at, value);
  for (const value of [NaN, Infinity]) {
    await assert.rejects(prepare(device, changed(3, value)), /value 3 is (NaN|Infinity)/);
  }
  await assert.rejects(prepare(device, changed(9, -1)), /entry \(1, 1\) is -1/);
  await assert.rejects(prepare(device, gram.slice(0, 16)), /16 entries/);
  await assert.rejects(prepare(device, gram, { block: 6 }), /block is 6/);
  using factor = await prepare(device, gram);
  const grid = gridOf(gaussian(16, "refused"), 8, { zero: "post_scale", group: 4 });
  await assert.rejects(round(device, factor, { ...grid, group: 3 }), /groups of 3/);
  await assert.rejects(
    round(device, factor, { ...grid, scales: grid.scales.slice(1) }),
    /3 scales/,
  );
  await assert.rejects(
    round(device, factor, { ...grid, weight: grid.weight.with(7, NaN) }),
    /weight: value 7 is NaN/,
  );
});

interface Scheme {
  readonly zero: GptqWeight["zero"];
  readonly group: number;
  readonly bound?: number;
  readonly activationOrder?: boolean;
}

const SCHEMES: readonly (Scheme & { columns: number; rows: number; block: number })[] = [
  { columns: 96, rows: 40, block: 32, zero: "post_scale", group: 32 },
  { columns: 96, rows: 40, block: 128, zero: "pre_scale", group: 16 },
  { columns: 200, rows: 24, block: 128, zero: "none", group: 200 },
  { columns: 64, rows: 24, block: 16, zero: "none", group: 64, bound: 0.75 },
  { columns: 64, rows: 24, block: 12, zero: "post_scale", group: 32 },
  { columns: 64, rows: 24, block: 64, zero: "post_scale", group: 64, activationOrder: false },
];

/** Codes of a weight whose Gram matrix is factored for it alone, and what the factorization took. */
async function gptq(
  device: Device,
  { gram, ...options }: GptqWeight & GptqFactorOptions & { readonly gram: Float32Array },
) {
  using factor = await prepare(device, gram, options);
  const { damping, tries } = factor;
  return { codes: Int16Array.from(await round(device, factor, options)), damping, tries };
}

/** The example of .github/ALGORITHMS.md#gptq: the weight, and the Gram matrix of its four samples. */
function golden() {
  const weight = Float32Array.from({ length: 16 }, (_, at) => {
    const [i, j] = [Math.floor(at / 8), at % 8];
    return ((3 * i + 5 * j) % 11 - 5) / 8;
  });
  const rows = [0, 1, 2, 3].flatMap((s) =>
    [0, 1, 2, 3, 4, 5].flatMap((t) =>
      Array.from({ length: 8 }, (_, j) => {
        const value = ((7 * t + 3 * j) % 13 - 6) / 4 * (1 + 0.5 * (j % 3)) + s / 8;
        return Math.f16round(value) * Math.sqrt(2 / 4);
      })
    )
  );
  return { weight, gram: outer(rows, 8) };
}

/** The grid of 4-bit codes (.github/ALGORITHMS.md#scales): a range a group, f16 scales and zeros. */
function gridOf(weight: Float32Array, columns: number, scheme: Scheme): GptqWeight {
  const { zero, group } = scheme;
  const count = weight.length / group;
  const scales = new Float32Array(count);
  const zeros = new Float32Array(count);
  for (let g = 0; g < count; g++) {
    const values = weight.subarray(g * group, (g + 1) * group);
    const forced = zero === "pre_scale" ? [0] : [];
    const [low, high] = [Math.min(...values, ...forced), Math.max(...values, ...forced)];
    const largest = Math.max(-low, high);
    scales[g] = Math.f16round(zero === "none" ? largest / 7 : (high - low) / 15);
    zeros[g] = zero === "pre_scale" ? Math.round(-low / scales[g]!) : Math.f16round(-low);
  }
  assert.equal(columns % group, 0);
  const range = zero === "none" ? [-7, 7] as const : [0, 15] as const;
  const { activationOrder, bound } = scheme;
  return {
    weight,
    scales,
    zeros,
    zero,
    group,
    range,
    ...(bound === undefined ? {} : { bound }),
    ...(activationOrder === undefined ? {} : { activationOrder }),
  };
}

/** Code of one weight and what it stands for (.github/ALGORITHMS.md#scales), in double precision. */
function quantize(grid: GptqWeight, value: number, at: number): [code: number, value: number] {
  const { scales, zeros, zero, range: [low, high], bound = Infinity } = grid;
  const [s, z] = [scales[at]!, zero === "none" ? 0 : zeros![at]!];
  const v = Math.min(Math.max(value, -bound), bound);
  const scaled = zero === "pre_scale" ? v / s + z : (v + z) / s;
  const floor = Math.floor(scaled);
  const half = scaled - floor;
  const rounded = floor + (half > 0.5 || (half === 0.5 && floor % 2 !== 0) ? 1 : 0);
  const code = Math.min(Math.max(rounded, low), high);
  return [code, zero === "pre_scale" ? (code - z) * s : code * s - z];
}

function nearest(grid: GptqWeight, columns: number): Int16Array {
  return Int16Array.from(grid.weight, (value, i) => {
    const at = Math.floor(i / columns) * (columns / grid.group);
    return quantize(grid, value, at + Math.floor((i % columns) / grid.group))[0];
  });
}

/** GPTQ as .github/ALGORITHMS.md#gptq puts it: an inverse, its upper factor, errors over pivots. */
function definition(grid: GptqWeight, gram: Float32Array, columns: number, ordered: boolean) {
  const damped = Float64Array.from(gram);
  for (let c = 0; c < columns; c++) damped[c * (columns + 1)]! ||= 1;
  const order = Array.from({ length: columns }, (_, c) => c);
  if (ordered) order.sort((a, b) => damped[b * (columns + 1)]! - damped[a * (columns + 1)]!);
  const mean = trace(damped, columns) / columns;
  for (let c = 0; c < columns; c++) damped[c * (columns + 1)]! += 0.01 * mean;
  const permuted = Float64Array.from(damped, (_, at) => {
    return damped[order[Math.floor(at / columns)]! * columns + order[at % columns]!]!;
  });
  const u = choleskyUpper(inverse(permuted, columns), columns)!;
  const codes = new Int16Array(grid.weight.length);
  for (let row = 0; row < codes.length / columns; row++) {
    const w = order.map((c) => grid.weight[row * columns + c]!);
    order.forEach((c, i) => {
      const at = row * (columns / grid.group) + Math.floor(c / grid.group);
      const [code, value] = quantize(grid, w[i]!, at);
      codes[row * columns + c] = code;
      const error = (w[i]! - value) / u[i * columns + i]!;
      for (let j = i + 1; j < columns; j++) w[j]! -= error * u[i * columns + j]!;
    });
  }
  return codes;
}

/** Squared error of the outputs: the sum over rows of d G d^T with d the weight's error. */
function outputError(grid: GptqWeight, codes: Int16Array, gram: Float32Array): number {
  const columns = Math.sqrt(gram.length);
  const { weight, scales, zeros, zero, group } = grid;
  const d = Float64Array.from(weight, (value, i) => {
    const at = Math.floor(i / group);
    const [s, z] = [scales[at]!, zero === "none" ? 0 : zeros![at]!];
    return value - (zero === "pre_scale" ? (codes[i]! - z) * s : codes[i]! * s - z);
  });
  let error = 0;
  for (let row = 0; row < d.length; row += columns) {
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) {
        error += d[row + i]! * gram[i * columns + j]! * d[row + j]!;
      }
    }
  }
  return error;
}

async function factorOf(device: Device, matrix: Float32Array, size: number) {
  const panels = await factorPanels(device, { columns: size, block: 128 }, (first, held) => {
    return matrix.slice(first * size, (first + held) * size);
  });
  assert.ok(panels);
  const v = new Float64Array(size * size);
  for (const [k, panel] of panels.entries()) {
    v.set((await device.read(panel)).data, k * 128 * size);
    panel[Symbol.dispose]();
  }
  return v.map((value, at) => at % size < Math.floor(at / size) ? 0 : value);
}

/** The Gram matrix of inputs in which neighbours go together and columns differ in size. */
function correlated(columns: number, seed: string): Float32Array {
  const noise = gaussian(3 * columns * columns, seed);
  const rows = new Float32Array(noise.length);
  for (let start = 0; start < rows.length; start += columns) {
    let state = 0;
    for (let c = 0; c < columns; c++) {
      state = 0.9 * state + noise[start + c]!;
      rows[start + c] = state * (1 + ((c * 37) % 11) / 4);
    }
  }
  return outer(rows, columns);
}

function outer(rows: ArrayLike<number>, columns: number): Float32Array {
  const sum = new Float64Array(columns * columns);
  for (let start = 0; start < rows.length; start += columns) {
    for (let i = 0; i < columns; i++) {
      const left = rows[start + i]!;
      for (let j = i; j < columns; j++) sum[i * columns + j]! += left * rows[start + j]!;
    }
  }
  return Float32Array.from(sum, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    return sum[Math.min(i, j) * columns + Math.max(i, j)]!;
  });
}

/** V^T V. */
function product(v: Float64Array, size: number): Float64Array {
  const whole = new Float64Array(size * size);
  for (let t = 0; t < size; t++) {
    for (let i = t; i < size; i++) {
      const left = v[t * size + i]!;
      for (let j = t; j < size; j++) whole[i * size + j]! += left * v[t * size + j]!;
    }
  }
  return whole;
}

/** Gauss and Jordan, without exchanges: the matrix is positive definite. */
function inverse(matrix: Float64Array, size: number): Float64Array {
  const a = matrix.slice();
  for (let t = 0; t < size; t++) {
    const pivot = a[t * size + t]!;
    a[t * size + t] = 1;
    for (let j = 0; j < size; j++) a[t * size + j]! /= pivot;
    for (let i = 0; i < size; i++) {
      if (i === t) continue;
      const factor = a[i * size + t]!;
      a[i * size + t] = 0;
      for (let j = 0; j < size; j++) a[i * size + j]! -= factor * a[t * size + j]!;
    }
  }
  return a;
}

function trace(matrix: ArrayLike<number>, size: number): number {
  return Array.from({ length: size }, (_, i) => matrix[i * (size + 1)]!).reduce((a, b) => a + b);
}

/** Norm of the difference over the norm of what is expected. */
function relative(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(error / size);
}
