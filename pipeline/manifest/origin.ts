import type { Step } from "./manifest.ts";
import type { Place } from "./problem.ts";
import type { StepWords } from "./resolve.ts";
import { childOf } from "./step_parameters.ts";
import { referencesIn } from "./references.ts";
import type { Data, YamlNode } from "./yaml_tree.ts";

/** A value of a step as a manifest would have it, and where it comes from. */
export interface OriginRow {
  /** The names that lead to it, such as `with`, `projections`, `alpha`. */
  readonly path: readonly string[];
  /** No mapping, unless it is an empty one. */
  readonly value: Data;
  /** A file and a line, a setting of the command line, or the stage. */
  readonly origin: string;
}

/** Every value of a step with its origin; a list is one value, which may have several. */
export function rowsOf(step: Step, words: StepWords): OriginRow[] {
  const { stage, from } = words.variant.draft;
  const inputs = Object.entries(step.inputs).map(([input, value]): OriginRow => {
    const places = (from.get(input)?.feeds ?? []).map(({ place }) => placeText(place));
    return { path: ["from", input], value, origin: joined(places) };
  });
  return [
    { path: ["stage"], value: step.stage, origin: stage ? placeText(stage.place) : "" },
    ...inputs,
    ...valueRows(["with"], step.params as Data, { node: words.node, words }),
  ];
}

interface Behind {
  /** What was written for a value; undefined where nothing was. */
  readonly node: YamlNode | undefined;
  readonly words: StepWords;
}

function valueRows(path: readonly string[], value: Data, { node, words }: Behind): OriginRow[] {
  const fields = isMapping(value)
    ? Object.entries(value).filter(([, field]) => field !== undefined)
    : [];
  if (fields.length === 0) {
    // A stage without parameters needs no `with`.
    return path.length === 1 ? [] : [{ path, value, origin: originOf({ node, words }) }];
  }
  return fields.flatMap(([name, field]) =>
    valueRows([...path, name], field, { node: below(node, name), words })
  );
}

function originOf({ node, words }: Behind): string {
  if (node === undefined) return `default of stage ${words.variant.draft.stage?.name}`;
  const inside = node.type === "map"
    ? [...node.entries.values()].map(({ value }) => value)
    : node.type === "list"
    ? node.items
    : [];
  if (inside.length > 0) return joined(inside.map((node) => originOf({ node, words })));
  const name = wholeReference(node);
  const param = name === undefined ? undefined : words.params.get(name);
  if (param === undefined) return placeText(node.place);
  return param.override
    ? placeText(param.override.place)
    : `${placeText(param.valuePlace)} param ${param.name}`;
}

/** What was written below a name; whatever a param stands for was written where the param is. */
function below(node: YamlNode | undefined, name: string): YamlNode | undefined {
  if (node === undefined || wholeReference(node) !== undefined) return node;
  return childOf(node, name)?.value;
}

function wholeReference(node: YamlNode): string | undefined {
  const [reference] = node.type === "scalar" ? referencesIn(node) : [];
  return reference?.whole ? reference.name : undefined;
}

function placeText({ source, mark }: Place): string {
  return mark === undefined ? source : `${source}:${mark.line}`;
}

function joined(origins: readonly string[]): string {
  return [...new Set(origins)].join(", ");
}

function isMapping(value: Data): value is { readonly [name: string]: Data } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
