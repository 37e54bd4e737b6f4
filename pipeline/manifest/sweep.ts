import { type Combination, labelOf } from "./combinations.ts";
import type { Draft } from "./draft.ts";
import type { Report } from "./problem.ts";
import type { StepInputs } from "./wiring.ts";
import { referencesIn } from "./references.ts";

/** A step of a run: a draft under the swept values that it depends on. */
export interface Variant {
  /** The draft's name, with the values in brackets where there are some. */
  readonly name: string;
  readonly draft: Draft;
  readonly values: Combination;
  /** Names of the variants that feed each input. */
  readonly inputs: StepInputs;
}

/** What a sweep is made of. */
export interface SweepSource {
  readonly drafts: ReadonlyMap<string, Draft>;
  /** Names of drafts in an order where inputs come first. */
  readonly order: readonly string[];
  /** Names of the drafts that feed each input of a draft. */
  readonly inputs: ReadonlyMap<string, StepInputs>;
  readonly combinations: readonly Combination[];
  readonly report: Report;
}

/**
 * Every draft once for each set of swept values that it depends on, in an order where inputs come
 * first and the steps of one combination stand together.
 *
 * A draft depends on the swept params it uses and on those its inputs depend on, but for inputs that
 * are lists: such an input takes every variant of its feeds that goes with the step's own values.
 */
export function expand(source: SweepSource): Variant[] {
  const { drafts, order, inputs, combinations, report } = source;
  const depends = dependencies(source);
  const project = (name: string, combination: Combination): Combination => {
    const names = depends.get(name) ?? new Set();
    return new Map([...combination].filter(([param]) => names.has(param)));
  };
  /** Which variant of each draft belongs to a combination. */
  const names = combinations.map((one) =>
    new Map([...drafts.keys()].map((name) => [name, nameOf(name, project(name, one))]))
  );
  const variants = new Map<string, Variant>();
  for (const name of order) {
    const draft = drafts.get(name);
    if (draft === undefined) continue;
    const groups = Map.groupBy(combinations.keys(), (at) => names[at]?.get(name) ?? name);
    for (const [variant, members] of groups) {
      if (variants.has(variant)) {
        const { place } = drafts.get(variant) ?? draft;
        report(place, `Cannot name a step "${variant}": the matrix makes one of that name`);
      }
      const values = project(name, combinations[members[0] ?? 0] ?? new Map());
      const feed = (feeds: string) => [
        ...new Set(members.map((at) => names[at]?.get(feeds) ?? feeds)),
      ];
      const fed = Object.entries(inputs.get(name) ?? {}).map(([input, feeds]) =>
        [input, typeof feeds === "string" ? feed(feeds)[0] ?? feeds : feeds.flatMap(feed)] as const
      );
      variants.set(variant, { name: variant, draft, values, inputs: Object.fromEntries(fed) });
    }
  }
  return schedule(variants, names.map((one) => order.map((name) => one.get(name) ?? name)));
}

/** A name with the values that tell the variant from others. */
function nameOf(name: string, values: Combination): string {
  if (values.size === 0) return name;
  // A sweep that was written out may be swept again.
  const [start, more] = name.endsWith("]") ? [name.slice(0, -1), ","] : [name, "["];
  return `${start}${more}${labelOf(values)}]`;
}

/** The swept params on which each draft depends. */
function dependencies(
  { drafts, order, inputs, combinations }: SweepSource,
): Map<string, ReadonlySet<string>> {
  const swept = new Set(combinations[0]?.keys());
  const depends = new Map<string, ReadonlySet<string>>();
  for (const name of order) {
    const own = drafts.get(name)?.with;
    const used = own === undefined ? [] : referencesIn(own).map(({ name }) => name);
    const feeds = Object.values(inputs.get(name) ?? {}).filter((feeds) =>
      typeof feeds === "string"
    );
    const all = [...used, ...feeds.flatMap((feed) => [...depends.get(feed) ?? []])];
    depends.set(name, new Set(all.filter((param) => swept.has(param))));
  }
  return depends;
}

/** A combination after the other, so that the first results come early; nothing before its inputs. */
function schedule(
  variants: ReadonlyMap<string, Variant>,
  combinations: readonly (readonly string[])[],
): Variant[] {
  const done = new Set<Variant>();
  const ready = ({ inputs }: Variant) =>
    Object.values(inputs).flat().every((name) => {
      const feed = variants.get(name);
      return feed === undefined || done.has(feed);
    });
  for (const name of combinations.flat()) {
    const variant = variants.get(name);
    if (variant && ready(variant)) done.add(variant);
  }
  // Lists across combinations may wait for one another; drafts are ordered, so this ends them.
  for (const variant of variants.values()) done.add(variant);
  return [...done];
}
