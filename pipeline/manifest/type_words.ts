import type { YamlNode } from "./yaml_tree.ts";

/** What messages call the type of a value. */
export function typeWord(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return "text";
  if (typeof value === "number") return "a number";
  return typeof value === "boolean" ? "true or false" : "a mapping";
}

/** What messages call the type of a YAML part. */
export function wordFor(node: YamlNode): string {
  if (node.type === "scalar") return typeWord(node.value);
  return node.type === "list" ? "a list" : "a mapping";
}
