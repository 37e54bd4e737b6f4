import type { ZeroDomain } from "../../kernels/codes/quantizer.ts";
import { schemeKind, type WeightScheme, weightWords } from "../quant/schemes.ts";
import { modelRefusal, type Refusal } from "./format.ts";
import type { StoredLinear } from "../models/linear.ts";
import type { Subject } from "./subject.ts";

/** What a format asks of the weights it holds. */
export interface WeightRules {
  readonly bits: readonly number[];
  readonly zeros: readonly ZeroDomain[];
  /** Columns of a group; any unless said. */
  readonly groups?: readonly number[];
  /** What outputs and inputs of a linear must be multiples of. */
  multiples(bits: number): readonly [outputs: number, inputs: number];
  /** Whether linears may stay in full precision. */
  readonly dense: boolean;
}

/** Why a format whose quantized linears all have one precision cannot hold a model's weights. */
export function* refusedWeights(
  { linears }: Pick<Subject, "linears">,
  rules: WeightRules,
): Generator<Refusal> {
  const quantized = linears.filter(({ scheme }) => scheme);
  if (quantized.length === 0) {
    yield modelRefusal(`no linear is quantized, expected codes of ${rules.bits.join(", ")} bits`);
    return;
  }
  yield* refusedLinears(linears, problems(rules));
  const words = new Set(quantized.map(({ scheme }) => weightWords(inRows(scheme!.weights))));
  if (words.size === 1) return;
  yield modelRefusal(
    `its linears are ${[...words].join(" and ")}, expected one precision for all of them`,
  );
}

/** A refusal for each problem that linears have: the first of them, and how many more there are. */
export function* refusedLinears(
  linears: readonly StoredLinear[],
  problems: readonly LinearProblem[],
): Generator<Refusal> {
  for (const problem of problems) {
    const found = linears.flatMap((linear) => {
      const text = problem(linear);
      return text ? [{ name: linear.name, text }] : [];
    });
    const [first] = found;
    if (!first) continue;
    const more = found.length === 1 ? "" : ` (and ${found.length - 1} more linears)`;
    yield modelRefusal(`${first.name}${more} ${first.text}`);
  }
}

/** The group of a model's linears as configs say it, -1 for a whole row. */
export function groupSize({ group }: Pick<WeightScheme, "group">): number {
  return typeof group === "number" ? group : -1;
}

/** Groups that vLLM's Marlin kernels take, as configs say them. */
export const MARLIN_GROUPS: readonly number[] = [-1, 32, 64, 128];

/** Groups of configs in words. */
export function groupWords(groups: readonly number[]): string {
  const sizes = groups.filter((size) => size > 0).join(", ");
  return groups.includes(-1) ? `${sizes} or rows` : sizes;
}

/** A scheme whose scale for the whole tensor is written once a row. */
function inRows(scheme: WeightScheme): WeightScheme {
  return scheme.group === "tensor" ? { ...scheme, group: "row" } : scheme;
}

/** What may be wrong with a linear, in words that follow its name. */
export type LinearProblem = (linear: StoredLinear) => string | false | undefined;

function problems({ bits, zeros, groups, multiples, dense }: WeightRules): LinearProblem[] {
  return [
    ({ scheme }) => !scheme && !dense && "is in full precision, expected every linear in codes",
    ({ scheme }) =>
      scheme && schemeKind(scheme.weights) === "two_level" &&
      "has two levels of scales, expected one",
    ({ scheme }) =>
      scheme && !bits.includes(scheme.weights.bits) &&
      `has ${scheme.weights.bits} bits, expected ${bits.join(" or ")}`,
    ({ scheme }) =>
      scheme && !zeros.includes(scheme.weights.zero) &&
      `has zero ${scheme.weights.zero}, expected ${zeros.join(" or ")} where it is quantized`,
    ({ scheme }) =>
      scheme && groups && !groups.includes(groupSize(scheme.weights)) &&
      `has a scale a ${
        typeof scheme.weights.group === "number"
          ? `group of ${scheme.weights.group}`
          : scheme.weights.group
      }, expected groups of ${groups.join(" or ")}`,
    ({ scheme, rows, columns }) => {
      if (!scheme || !bits.includes(scheme.weights.bits)) return undefined;
      const [outputs, inputs] = multiples(scheme.weights.bits);
      return (rows % outputs !== 0 || columns % inputs !== 0) &&
        `has ${rows} outputs and ${columns} inputs, expected multiples of ${outputs} and ${inputs}`;
    },
  ];
}
