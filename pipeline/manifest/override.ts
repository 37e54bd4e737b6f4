import type { Place, Report } from "./problem.ts";
import { escapeReferences } from "./references.ts";
import { type Data, DEPTH, type Entry, parseScalar, type YamlNode } from "./yaml_tree.ts";

/** A setting of the command line: the text behind `--set`, or the one behind `--set-json`. */
export type Setting = string | { readonly json: string };

/** A setting as it was understood: `name=value` for a param, `step.key=value` for a step. */
export interface Override {
  /** As the user wrote it, for messages. */
  readonly place: Place;
  readonly path: readonly [string, ...string[]];
  /** What the value means as YAML or JSON. */
  readonly value: Data;
  /** The value letter by letter, for params that are text; JSON has none. */
  readonly literal?: string;
}

/** A name with the brackets that a step of a sweep has, and the names behind it. */
const NAME = /^([\w-]+(?:\[[^\[\]]*\])?)((?:\.[\w-]+)*)$/;

/** Reads a setting; throws a SyntaxError where it has no name or no value. */
export function parseOverride(setting: Setting): Override {
  const text = typeof setting === "string" ? setting : setting.json;
  const [, name = "", given] = /^([^=[]*(?:\[[^\]]*\][^=]*)?)=(.*)$/s.exec(text) ?? [];
  const [, first, rest = ""] = NAME.exec(name.trim()) ?? [];
  if (first === undefined || given === undefined) {
    throw new SyntaxError(`Cannot set "${text}": expected name=value or step.key=value`);
  }
  if (name.includes("__proto__")) throw new SyntaxError(`Cannot set "${name}": it is no name`);
  const place = { source: sourceOf(setting) };
  const path = [first, ...rest.split(".").slice(1)] as const;
  if (typeof setting === "string") {
    return { place, path, value: parseScalar(given), literal: given };
  }
  return { place, path, value: parseJson(given) };
}

/** How messages call the place where a setting stands. */
export function sourceOf(setting: Setting): string {
  return typeof setting === "string" ? `--set ${setting}` : `--set-json ${setting.json}`;
}

/**
 * A step's parameters with those in place that settings name; what is in the way gives way.
 *
 * Calls `missing` for an item of a list that is not there.
 */
export function applyOverride(
  node: YamlNode | undefined,
  { place, path, value }: Override,
  missing: Report,
): YamlNode {
  const put = (node: YamlNode | undefined, done: number): YamlNode => {
    const name = path[done];
    if (name === undefined) return nodeOf(value, place);
    if (node?.type === "list") {
      const { length } = node.items;
      if (!node.items.some((_, i) => String(i) === name)) {
        const there = length === 0 ? "the list is empty" : `expected one of 0 to ${length - 1}`;
        const whole = path.slice(1, done).join(".") || "with";
        missing(place, `Cannot find item "${name}" of "${whole}" of step "${path[0]}": ${there}`);
      }
      const items = node.items.map((item, i) => String(i) === name ? put(item, done + 1) : item);
      return { ...node, items };
    }
    const map = node?.type === "map" ? node : { type: "map", place, entries: new Map() } as const;
    const entries = new Map<string, Entry>(map.entries);
    const below = entries.get(name);
    entries.set(name, { place: below?.place ?? place, value: put(below?.value, done + 1) });
    return { ...map, entries };
  };
  return put(node, 1);
}

/** Plain data as a part of a manifest in which nothing stands for a param. */
export function nodeOf(data: Data, place: Place): YamlNode {
  if (typeof data === "string") return { type: "scalar", place, value: escapeReferences(data) };
  if (typeof data !== "object" || data === null) return { type: "scalar", place, value: data };
  if (Array.isArray(data)) {
    return { type: "list", place, items: data.map((item: Data) => nodeOf(item, place)) };
  }
  const entries = Object.entries(data)
    .map(([name, value]) => [name, { place, value: nodeOf(value, place) }] as const);
  return { type: "map", place, entries: new Map(entries) };
}

function parseJson(text: string): Data {
  let data: Data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    const why = (error as Error).message.replaceAll(/\s+/g, " ");
    throw new SyntaxError(`Cannot read JSON: ${why}; expected such as name='["a", "b"]'`);
  }
  checkJson(data, 0);
  return data;
}

/** Throws a SyntaxError for what a manifest cannot hold either. */
function checkJson(data: Data, depth: number): void {
  if (depth > DEPTH) throw new SyntaxError(`Cannot read JSON deeper than ${DEPTH} levels`);
  if (typeof data === "number" && !Number.isFinite(data)) {
    throw new SyntaxError("Cannot read JSON: a number is too large, expected a finite one");
  }
  if (typeof data !== "object" || data === null) return;
  if (Object.hasOwn(data, "__proto__")) {
    throw new SyntaxError('Cannot read JSON: "__proto__" is no name, expected another text');
  }
  for (const value of Object.values(data)) checkJson(value, depth + 1);
}
