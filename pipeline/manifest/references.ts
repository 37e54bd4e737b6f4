import type { Place } from "./problem.ts";
import type { YamlNode } from "./yaml_tree.ts";

/** A place where a manifest uses a param. */
export interface Reference {
  readonly name: string;
  readonly place: Place;
  /** Nothing stands around the `${name}`, so that the value keeps its type. */
  readonly whole: boolean;
}

/** A use of a param in a text; `$${` is none. */
export const REFERENCE = /\$(\$\{)|\$\{([^{}]*)\}/g;

/** Every use of a param in a YAML part. */
export function referencesIn(node: YamlNode): Reference[] {
  if (node.type === "list") return node.items.flatMap(referencesIn);
  if (node.type === "map") {
    return [...node.entries.values()].flatMap(({ value }) => referencesIn(value));
  }
  if (typeof node.value !== "string") return [];
  const text = node.value;
  return [...text.matchAll(REFERENCE)].flatMap(([all, , name]) =>
    name === undefined ? [] : [{ name: name.trim(), place: node.place, whole: all === text }]
  );
}

/** A text that stands for itself where params are replaced. */
export function escapeReferences(text: string): string {
  return text.replaceAll("${", () => "$${");
}
