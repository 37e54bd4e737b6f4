import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { rangeSearch } from "../../../stages/quant/range_params.ts";
import { rangeRatios, searchRanges } from "../../../stages/quant/range_search.ts";
import { weightScheme } from "../../../stages/quant/schemes.ts";
import { codedValues } from "../../../stages/quant/coded_weight.ts";
import {
  domainOf,
  gridFor,
  measureGroups,
  roundToNearest,
} from "../../../stages/quant/weight_grid.ts";
import { correlated, gaussian } from "../../support/gram.ts";

/** The weight of the reference's golden values (.github/ALGORITHMS.md#range-search). */
const WEIGHT = {
  rows: 4,
  columns: 16,
  values: Float32Array.from(
    { length: 64 },
    (_, at) => Math.f16round(((37 * Math.floor(at / 16) + 53 * (at % 16)) % 101 / 50 - 1) ** 3),
  ),
};

Deno.test("rangeRatios() are those of the reference", () => {
  const ratios = rangeRatios(rangeSearch.parse({}));
  assert.equal(ratios.length, 81);
  assert.deepEqual(
    [ratios[0], ratios[1], ratios[2], ratios.at(-1)].map((ratio) => ratio!.toFixed(4)),
    ["1.0000", "0.9900", "0.9800", "0.2000"],
  );
  assert.equal(rangeRatios(rangeSearch.parse({ grids: 2, max_expand: 1.5 })).at(-1), 1.5);
});

const GOLDEN = [
  [{ objective: "products" }, [1, 1, 1, 0.9, 1, 1, 0.8, 1]],
  [{ objective: "outputs" }, [1, 1, 1, 0.9, 1, 1, 0.8, 1]],
  [{ objective: "tensor" }, [1, 1, 1, 1, 1, 1, 1, 1]],
  [{ objective: "outputs", granularity: "layer" }, [1, 1, 1, 1, 1, 1, 1, 1]],
] as const;

for (const [options, expected] of GOLDEN) {
  Deno.test(`searchRanges() finds the reference's ratios: ${JSON.stringify(options)}`, async () => {
    await using device = await Cpu.open();
    const scheme = weightScheme.parse({ bits: 3, group: 8 });
    const domain = domainOf(WEIGHT, scheme);
    const ranges = measureGroups(domain, scheme);
    const search = rangeSearch.parse({ grids: 8, ...options });
    const found = await searchRanges(device, { domain, scheme, ranges, gram: gramOf() }, search);
    assert.deepEqual([...found].map((ratio) => Number(ratio.toFixed(4))), expected);
  });
}

Deno.test("searchRanges() never makes the error it looks at larger, at any granularity", async () => {
  await using device = await Cpu.open();
  for (const granularity of ["group", "channel_group", "layer"] as const) {
    for (const levels of [1, 2] as const) {
      const scheme = weightScheme.parse({ group: 8, levels });
      const domain = domainOf(WEIGHT, scheme);
      const ranges = measureGroups(domain, scheme);
      const input = { domain, scheme, ranges, gram: gramOf() };
      const search = rangeSearch.parse({ objective: "products", granularity, grids: 8 });
      const ratios = await searchRanges(device, input, search);
      const shared = new Set(ratios).size;
      assert.ok(shared <= { group: 8, channel_group: 2, layer: 1 }[granularity]);
      assert.ok(ratios.every((ratio) => ratio > 0 && ratio <= 1));
    }
  }
});

for (const granularity of ["group", "channel_group"] as const) {
  Deno.test(`searchRanges() finds the best ratios of wide weights, by ${granularity}`, async () => {
    await using device = await Cpu.open();
    // More columns than are searched at once, in groups that do not divide those.
    const [rows, columns, group] = [3, 2208, 96];
    const scheme = weightScheme.parse({ bits: 3, group, levels: 2 });
    const domain = domainOf({ rows, columns, values: gaussian(rows * columns, "wide") }, scheme);
    const ranges = measureGroups(domain, scheme);
    // Of each group its own matrix; what lies between groups is not looked at.
    const squares = Array.from({ length: columns / group }, (_, at) => correlated(group, `${at}`));
    const gram = Float32Array.from({ length: columns ** 2 }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      const block = Math.floor(i / group);
      return block === Math.floor(j / group)
        ? squares[block]![i % group * group + j % group]!
        : NaN;
    });
    const search = rangeSearch.parse({
      objective: "products",
      granularity,
      grids: 6,
      max_shrink: 0.5,
    });
    const found = await searchRanges(device, { domain, scheme, ranges, gram }, search);
    const errors = rangeRatios(search).map((ratio) => {
      const grid = gridFor(domain, scheme, ranges, ratio);
      const values = codedValues(roundToNearest(domain, grid));
      return ranges.max.map((_, at) => {
        const [row, block] = [Math.floor(at / (columns / group)), at % (columns / group)];
        // Codes stand for weights: a domain times the scale of its row.
        const difference = Array.from({ length: group }, (_, i) => {
          const place = row * columns + block * group + i;
          return values[place]! - domain.values[place]! * domain.rowScales![row]!;
        });
        return difference.reduce(
          (sum, a, i) =>
            difference.reduce((sum, b, j) => sum + a * b * squares[block]![i * group + j]!, sum),
          0,
        );
      });
    });
    const of = (ratio: number, at: number) => {
      const sums = errors[rangeRatios(search).findIndex((each) => Math.fround(each) === ratio)]!;
      const shared = [...sums.keys()].filter((other) =>
        other % (columns / group) === at % (columns / group)
      );
      return granularity === "group"
        ? sums[at]!
        : shared.reduce((sum, other) => sum + sums[other]!, 0);
    };
    assert.ok(new Set(found).size > 2);
    found.forEach((ratio, at) => {
      const least = Math.min(...rangeRatios(search).map((each) => of(Math.fround(each), at)));
      assert.ok(of(ratio, at) <= least * (1 + 1e-4), `group ${at}: ratio ${ratio}`);
    });
  });
}

Deno.test("searchRanges() says what is missing for an output error", async () => {
  await using device = await Cpu.open();
  const scheme = weightScheme.parse({ bits: 3, group: 8 });
  const domain = domainOf(WEIGHT, scheme);
  const input = { domain, scheme, ranges: measureGroups(domain, scheme), gram: undefined };
  await assert.rejects(
    () => searchRanges(device, input, rangeSearch.parse({})),
    /no Gram matrix, expected stats with gram: true/,
  );
});

function gramOf(): Float32Array {
  const gram = new Float32Array(256);
  for (let s = 0; s < 4; s++) {
    for (let t = 0; t < 6; t++) {
      const x = Array.from(
        { length: 16 },
        (_, j) => ((7 * t + 3 * j + 2 * s) % 13 - 6) / 4 * (1 + 0.5 * (j % 3)),
      );
      x.forEach((a, i) => x.forEach((b, j) => gram[16 * i + j]! += a * b));
    }
  }
  return gram;
}
