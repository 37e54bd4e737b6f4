import type { Artifact } from "../../pipeline/artifact.ts";
import { openStats } from "../../stages/calibration/stats.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { architectureOf } from "../../stages/models/architecture.ts";
import { writeDequantized } from "./float_model.ts";
import type { StageChain } from "./stage_chain.ts";

/** A linear's weight before it was quantized and what its codes stand for, [rows, columns]. */
export interface WeightPair {
  /** The name before `.weight`. */
  readonly name: string;
  readonly layer: number;
  /** The site that feeds it, such as `layers.0.mlp.in`. */
  readonly site: string;
  /** The expert whose part of the site's activation it reads; all of it where undefined. */
  readonly expert: number | undefined;
  /** Whether it stands inside an expert. */
  readonly inside: boolean;
  readonly columns: number;
  readonly before: Float32Array;
  readonly after: Float32Array;
}

/** All linears of the layers of a model, before and after it was quantized. */
export async function weightPairs(
  chain: StageChain,
  before: Artifact,
  after: Artifact,
): Promise<WeightPair[]> {
  const floats = await chain.directory();
  await writeDequantized(after.path, floats);
  using plain = await openCheckpoint(before.path);
  using coded = await openCheckpoint(floats);
  const { layers } = architectureOf(plain.config);
  const pairs: WeightPair[] = [];
  for (const { name: site, layer, linears, expert: of } of layers.flatMap(({ sites }) => sites)) {
    const inside = of !== undefined;
    for (const { name, weight, columns, expert } of linears) {
      pairs.push({
        name,
        layer,
        site,
        expert: inside ? undefined : expert,
        inside,
        columns,
        before: await plain.read(weight),
        after: await coded.read(weight),
      });
    }
  }
  return pairs;
}

/** Squared error of a weight relative to the weight, in double precision. */
export function weightErrorOf({ before, after }: WeightPair): number {
  let [error, size] = [0, 0];
  before.forEach((value, i) => {
    error += (after[i]! - value) ** 2;
    size += value ** 2;
  });
  return error / size;
}

/** Squared error of a linear's outputs relative to its outputs, by stats of its inputs. */
export async function outputErrorOf(
  pair: WeightPair,
  stats: Artifact,
  model: Artifact,
): Promise<number> {
  using opened = await openStats(stats, model);
  const gram = await opened.gram(pair.layer, pair.site, pair.expert);
  return quadraticForm(difference(pair), gram, pair.columns) /
    quadraticForm(pair.before, gram, pair.columns);
}

/** What rounding did to a weight. */
export function difference({ before, after }: WeightPair): Float64Array {
  return Float64Array.from(before, (value, i) => after[i]! - value);
}

/** The sum over rows d of d G d^T; only products within blocks of `block` columns, all unless said. */
export function quadraticForm(
  rows: ArrayLike<number>,
  gram: ArrayLike<number>,
  columns: number,
  block = columns,
): number {
  let sum = 0;
  for (let start = 0; start < rows.length; start += columns) {
    for (let i = 0; i < columns; i++) {
      const first = i - i % block;
      let product = 0;
      for (let j = first; j < first + block; j++) {
        product += gram[i * columns + j]! * rows[start + j]!;
      }
      sum += rows[start + i]! * product;
    }
  }
  return sum;
}
