import type { ManifestParam } from "./params.ts";
import type { Place } from "./problem.ts";
import { meaningOf } from "./substitution.ts";
import type { Data } from "./yaml_tree.ts";

/** One value of a swept param and where it stands. */
export interface Swept {
  readonly value: Data;
  readonly place: Place;
}

/** Values of swept params that a run takes together, in the order of the params' names. */
export type Combination = ReadonlyMap<string, Swept>;

/** An entry of `include` or `exclude`. */
export interface Line {
  readonly place: Place;
  readonly values: ReadonlyMap<string, Swept>;
}

/** What a `matrix` says. */
export interface SweepMatrix {
  readonly axes: ReadonlyMap<string, readonly Swept[]>;
  readonly exclude: readonly Line[];
  readonly include: readonly Line[];
}

type Params = ReadonlyMap<string, ManifestParam>;

/**
 * The combinations of a matrix; each has a value for every param that one of them has.
 *
 * `exclude` takes away what it agrees with. Then each entry of `include` is added to the combinations
 * of the axes with which it agrees, or is one of its own where there is none.
 */
export function combine(matrix: SweepMatrix, params: Params): Combination[] {
  const { axes, exclude, include } = matrix;
  const whole = axes.size === 0 ? [] : product(axes);
  const kept = whole
    .filter((one) => !exclude.some(({ values }) => agrees(one, values)))
    .map((one) => ({ one, added: new Map<string, Swept>() }));
  const own: ReadonlyMap<string, Swept>[] = [];
  for (const { values } of include) {
    const [fixed, free] = split(values, (name) => axes.has(name));
    const fitting = kept.filter(({ one }) => agrees(one, fixed));
    for (const { added } of fitting) free.forEach((swept, name) => added.set(name, swept));
    if (fitting.length === 0) own.push(values);
  }
  return complete([...kept.map(({ one, added }) => new Map([...one, ...added])), ...own], params);
}

/**
 * The combinations that are left when the command line sets params.
 *
 * What is set is no part of the sweep: its axis goes, `include` loses it, and `exclude` goes by what
 * it was set to.
 */
export function combineUnder(
  { axes, exclude, include }: SweepMatrix,
  params: Params,
): Combination[] {
  const isSet = (name: string) => params.get(name)?.override !== undefined;
  const fixed = [...axes].map(([name, values]) => {
    const [first] = values;
    if (!isSet(name) || first === undefined) return [name, values] as const;
    return [name, [{ ...first, value: meaningOf(name, { params, reading: "literal" }) }]] as const;
  });
  const rest = include
    .map(({ place, values }) => ({ place, values: split(values, isSet)[1] }))
    // An entry that is all set says nothing any more, unless it was a combination of its own.
    .filter(({ values }) => values.size > 0 || axes.size === 0);
  const combinations = combine({ axes: new Map(fixed), exclude, include: rest }, params);
  return complete(combinations.map((one) => split(one, isSet)[1]), params);
}

/** All values of every axis with all of the others, the last axis by name changing fastest. */
export function product(axes: SweepMatrix["axes"]): Combination[] {
  const names = [...axes.keys()].sort();
  return names.reduce<Combination[]>(
    (left, name) =>
      left.flatMap((one) =>
        (axes.get(name) ?? []).map((swept) => new Map([...one, [name, swept]]))
      ),
    [new Map()],
  );
}

/** Whether a combination has all of some values. */
export function agrees(one: Combination, values: ReadonlyMap<string, Swept>): boolean {
  return [...values].every(([name, { value }]) => {
    const own = one.get(name);
    return own !== undefined && valueText(own.value) === valueText(value);
  });
}

/** A value as the names of steps have it; it holds nothing that a shell or a path would read. */
export function valueText(value: Data): string {
  const text = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
  return text.replaceAll(/[^\p{L}\p{N}_.:@+-]/gu, (letter) =>
    [...new TextEncoder().encode(letter)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join(""));
}

/** What tells a combination from others, such as `alpha=0.2,group=64`. */
export function labelOf(one: Combination): string {
  return [...one].map(([name, { value }]) => `${name}=${valueText(value)}`).join(",");
}

/** Combinations with the params' own values where they have none, in order of names, none twice. */
function complete(
  combinations: readonly ReadonlyMap<string, Swept>[],
  params: Params,
): Combination[] {
  const names = [...new Set(combinations.flatMap((one) => [...one.keys()]))].sort();
  const full = combinations.map((one) =>
    new Map(names.map((name) => [name, one.get(name) ?? usual(params.get(name))]))
  );
  return [...new Map(full.map((one) => [labelOf(one), one])).values()];
}

function usual(param: ManifestParam | undefined): Swept {
  return { value: param?.value ?? null, place: param?.valuePlace ?? { source: "" } };
}

function split(
  values: ReadonlyMap<string, Swept>,
  first: (name: string) => boolean,
): [Map<string, Swept>, Map<string, Swept>] {
  const entries = [...values];
  return [
    new Map(entries.filter(([name]) => first(name))),
    new Map(entries.filter(([name]) => !first(name))),
  ];
}
