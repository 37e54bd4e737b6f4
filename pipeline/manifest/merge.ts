import type { Entry, YamlNode } from "./yaml_tree.ts";

/**
 * One tree over another: mappings are merged name by name, anything else is replaced.
 *
 * A null takes away what the lower tree has under its name; where that has nothing, it stays a null.
 * Names keep the lower tree's order, new ones follow. Every value keeps its own place.
 */
export function mergeTrees(under: YamlNode, over: YamlNode): YamlNode {
  if (under.type !== "map" || over.type !== "map") return over;
  const entries = new Map<string, Entry>(under.entries);
  for (const [name, entry] of over.entries) {
    const below = under.entries.get(name);
    if (below === undefined) {
      entries.set(name, entry);
    } else if (isNull(entry.value)) {
      entries.delete(name);
    } else {
      entries.set(name, { ...entry, value: mergeTrees(below.value, entry.value) });
    }
  }
  return { ...over, entries };
}

/** Whether nothing stands there, as after `with:`. */
export function isNull(node: YamlNode): boolean {
  return node.type === "scalar" && node.value === null;
}
