import type { ManifestParam } from "./params.ts";
import type { Place } from "./problem.ts";
import { REFERENCE, referencesIn } from "./references.ts";
import type { Data, YamlNode } from "./yaml_tree.ts";

/** Params by name, and how to read an override of a text param that looks like a number. */
export interface Values {
  readonly params: ReadonlyMap<string, ManifestParam>;
  readonly reading: "literal" | "parsed";
}

/** A YAML part as plain data, with params in place of `${name}`; `$${` stands for `${`. */
export function substitute(node: YamlNode, values: Values): Data {
  if (node.type === "list") return node.items.map((item) => substitute(item, values));
  if (node.type === "map") {
    return Object.fromEntries(
      [...node.entries].map(([name, { value }]) => [name, substitute(value, values)]),
    );
  }
  if (typeof node.value !== "string") return node.value;
  const [only] = referencesIn(node);
  if (only?.whole) return meaningOf(only.name, values);
  const parts: string[] = [];
  let [length, at] = [0, 0];
  const add = (part: string) => {
    length += part.length;
    if (length > LONGEST) throw new TooLongError(node.place);
    parts.push(part);
  };
  for (const { 0: all, 1: escaped, 2: name = "", index } of node.value.matchAll(REFERENCE)) {
    add(node.value.slice(at, index));
    add(escaped ?? String(meaningOf(name.trim(), values)));
    at = index + all.length;
  }
  add(node.value.slice(at));
  return parts.join("");
}

/** Characters of a text with params in it; what is longer grew by mistake or on purpose. */
const LONGEST = 2 ** 20;

/** A text that its params make too long. */
export class TooLongError extends Error {
  override readonly name = "TooLongError";
  readonly place: Place;

  constructor(place: Place) {
    super(`Cannot put params into this text: it becomes longer than ${LONGEST} characters`);
    this.place = place;
  }
}

/** What a param stands for in this run; null where there is no such param. */
export function meaningOf(name: string, { params, reading }: Values): Data {
  const param = params.get(name);
  if (param?.override === undefined) return param?.value ?? null;
  const { value, literal = value } = param.override;
  return typeof param.value === "string" && reading === "literal" ? literal : value;
}
