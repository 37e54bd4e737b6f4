import type { Param } from "./params.ts";
import type { Place } from "./problem.ts";
import type { Data, YamlNode } from "./yaml_tree.ts";

/** A place where a manifest uses a param. */
export interface Reference {
  readonly name: string;
  readonly place: Place;
  /** Nothing stands around the `${name}`, so that the value keeps its type. */
  readonly whole: boolean;
}

/** Params by name, and how to read an override of a text param that looks like a number. */
export interface Values {
  readonly params: ReadonlyMap<string, Param>;
  readonly reading: "literal" | "parsed";
}

const REFERENCE = /\$(\$\{)|\$\{([^{}]*)\}/g;

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
  if (only?.whole) return valueOf(only.name, values);
  return node.value.replace(
    REFERENCE,
    (_, escaped: string | undefined, name: string) =>
      escaped ?? String(valueOf(name.trim(), values)),
  );
}

/** What a param stands for in this run; null where there is no such param. */
export function valueOf(name: string, { params, reading }: Values): Data {
  const param = params.get(name);
  if (param?.override === undefined) return param?.value ?? null;
  const { value, literal = value } = param.override;
  return typeof param.value === "string" && reading === "literal" ? literal : value;
}

/** A text that stands for itself where params are replaced. */
export function escapeReferences(text: string): string {
  return text.replaceAll("${", () => "$${");
}

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
