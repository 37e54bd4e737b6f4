import type { ManifestParam } from "./params.ts";
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
  return node.value.replace(
    REFERENCE,
    (_, escaped: string | undefined, name: string) =>
      escaped ?? String(meaningOf(name.trim(), values)),
  );
}

/** What a param stands for in this run; null where there is no such param. */
export function meaningOf(name: string, { params, reading }: Values): Data {
  const param = params.get(name);
  if (param?.override === undefined) return param?.value ?? null;
  const { value, literal = value } = param.override;
  return typeof param.value === "string" && reading === "literal" ? literal : value;
}
