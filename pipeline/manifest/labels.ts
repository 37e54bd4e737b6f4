import type { Feed } from "./draft.ts";
import { nodeOf } from "./override.ts";
import type { Report } from "./problem.ts";
import { escapeReferences } from "./references.ts";
import type { Variant } from "./sweep.ts";
import type { Entry, YamlNode } from "./yaml_tree.ts";

/** What growing labels needs beside the step. */
interface Growing {
  readonly variants: ReadonlyMap<string, Variant>;
  readonly report: Report;
}

/** A parameter that names the artifacts of an input. */
interface Labels {
  readonly param: string;
  readonly input: string;
}

/** What one step that feeds an input became in the sweep. */
interface Fed {
  readonly feed: Feed;
  /** Its variants, and the values that tell them apart in this input. */
  readonly variants: readonly { readonly name: string; readonly values: string }[];
}

/**
 * A step's `with` in which the names of a list input's artifacts have grown as the list has.
 *
 * Where a sweep makes several artifacts of one step, its label stands for each of them, with the
 * values behind it; where there are no labels, the names of the steps are. Reports numbers that
 * cannot fit.
 */
export function growLabels(variant: Variant, growing: Growing): YamlNode | undefined {
  const labels = Object.entries(variant.draft.stage?.is.labels ?? {});
  return labels.reduce<YamlNode | undefined>(
    (node, [param, input]) => input ? grow(node, variant, { param, input, ...growing }) : node,
    variant.draft.with,
  );
}

function grow(
  node: YamlNode | undefined,
  variant: Variant,
  { param, input, variants, report }: Labels & Growing,
): YamlNode | undefined {
  const { draft } = variant;
  const feeds = draft.from.get(input)?.feeds ?? [];
  const fed = feeds.map((feed) => fedBy(feed, variant, { input, variants }));
  const total = fed.flatMap(({ variants }) => variants).length;
  const swept = fed.some(({ variants }) => variants.some(({ values }) => values !== ""));
  const map = node?.type === "map" ? node : undefined;
  const given = map?.entries.get(param)?.value;
  if (given === undefined) {
    if (!swept || (node !== undefined && map === undefined)) return node;
    const names = fed.flatMap(({ feed: { place }, variants }) =>
      variants.map(({ name }) => nodeOf(name, place))
    );
    return withEntry(map, param, {
      type: "list",
      place: feeds[0]?.place ?? draft.place,
      items: names,
    });
  }
  if (given.type !== "list") return node;
  const { length } = given.items;
  if (length !== feeds.length) {
    if (length === total) return node;
    const wanted = total > feeds.length ? `${feeds.length}, one a step, or ${total}` : `${total}`;
    const what = `the ${total} ${input} of step "${draft.name}"`;
    report(given.place, `Cannot name ${what} by ${length} ${param}: expected ${wanted}`);
    return node;
  }
  const items = given.items.flatMap((item, i) =>
    (fed[i]?.variants ?? []).map(({ values }) => behind(item, values))
  );
  return withEntry(map, param, { ...given, items });
}

function fedBy(
  feed: Feed,
  { values, inputs }: Variant,
  { input, variants }: { readonly input: string; readonly variants: Growing["variants"] },
): Fed {
  const names = [...new Set([inputs[input] ?? []].flat())];
  const own = names.flatMap((name) => variants.get(name) ?? [])
    .filter(({ draft }) => draft.name === feed.step);
  return {
    feed,
    variants: own.map((one) => {
      const more = [...one.values].filter(([param]) => !values.has(param));
      return {
        name: one.name,
        values: more.map(([param, { value }]) => `${param}=${value}`).join(" "),
      };
    }),
  };
}

/** A label with values behind it. */
function behind(label: YamlNode, values: string): YamlNode {
  if (values === "" || label.type !== "scalar" || typeof label.value !== "string") return label;
  return { ...label, value: `${label.value} ${escapeReferences(values)}` };
}

function withEntry(
  map: YamlNode & { readonly type: "map" } | undefined,
  name: string,
  value: YamlNode,
): YamlNode {
  const { place } = value;
  const entries = new Map<string, Entry>(map?.entries);
  entries.set(name, { place: entries.get(name)?.place ?? place, value });
  return { type: "map", place: map?.place ?? place, entries };
}
