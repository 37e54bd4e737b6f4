import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type YAMLError,
} from "yaml";
import type { Place, Report } from "./problem.ts";

/** A value that is no list and no mapping. */
export type Scalar = string | number | boolean | null;

/** Data as YAML and JSON know it. */
export type Data = Scalar | readonly Data[] | { readonly [name: string]: Data };

/** An entry of a mapping; `place` is where its name stands. */
export interface Entry {
  readonly place: Place;
  readonly value: YamlNode;
}

/** A part of a manifest and where it was written. */
export type YamlNode =
  | { readonly type: "map"; readonly place: Place; readonly entries: ReadonlyMap<string, Entry> }
  | { readonly type: "list"; readonly place: Place; readonly items: readonly YamlNode[] }
  | { readonly type: "scalar"; readonly place: Place; readonly value: Scalar };

/** Levels of lists and mappings a manifest may have; deeper ones are mistakes or attacks. */
export const DEPTH = 64;

/**
 * Reads YAML as data with places: no anchors, no tags, no merges, every name a text.
 *
 * Returns undefined for an empty text and after a syntax error, which `report` is told.
 */
export function parseYaml(
  text: string,
  { source, report }: { readonly source: string; readonly report: Report },
): YamlNode | undefined {
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { source, mark: { line: Math.max(1, line), col: Math.max(1, col) } };
  };
  const contents = compose(text, { lines, report: (at, message) => report(placeAt(at), message) });
  if (!contents) return undefined;
  return convert(contents, { placeAt, report, depth: 0 });
}

/** The YAML scalar a text stands for; what YAML would read as anything else is taken literally. */
export function parseScalar(text: string): Scalar {
  if (text.trim() === "") return text;
  const document = parseDocument(text, { prettyErrors: false, schema: "core" });
  const { contents, errors, warnings } = document;
  if (errors.length + warnings.length > 0 || !isScalar(contents)) return text;
  return scalarValue(contents.value) ?? (contents.value === null ? null : text);
}

function compose(
  text: string,
  { lines, report }: {
    readonly lines: LineCounter;
    readonly report: (offset: number, message: string) => void;
  },
): ParsedNode | undefined {
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      schema: "core",
      // The library would compare every name with every other; we do with those before it.
      uniqueKeys: false,
    });
    // One slip makes a syntax error of everything behind it.
    const told = [...document.errors.slice(0, 1), ...document.warnings];
    for (const error of told) report(error.pos[0], explain(error, text));
    return told.length === 0 ? document.contents ?? undefined : undefined;
  } catch (error) {
    report(0, `Cannot read YAML: ${error instanceof RangeError ? "it is nested too deep" : error}`);
    return undefined;
  }
}

function explain(error: YAMLError, text: string): string {
  const start = text.lastIndexOf("\n", error.pos[0] - 1) + 1;
  const line = text.slice(start, text.indexOf("\n", start) >>> 0);
  const hint = /\{.*\$\{[^}"']*\}/.test(line) ? ', expected quotes: "${…}" inside { }' : "";
  const what = error.message.replace(/[.;].*$/s, "").replace(/^Maximum call.*/, "it is too deep");
  return `Cannot read YAML: ${what}${hint}`;
}

interface Reading {
  readonly placeAt: (offset: number) => Place;
  readonly report: Report;
  readonly depth: number;
}

function convert(node: ParsedNode, reading: Reading): YamlNode {
  const { placeAt, report, depth } = reading;
  const place = placeAt(node.range[0]);
  const deeper = { ...reading, depth: depth + 1 };
  if (depth > DEPTH) {
    report(place, `Cannot read YAML deeper than ${DEPTH} levels`);
    return { type: "scalar", place, value: null };
  }
  if (isMap(node)) return { type: "map", place, entries: entriesOf(node.items, deeper) };
  if (isSeq(node)) {
    const items = node.items.map((item) => convert(item as ParsedNode, deeper));
    return { type: "list", place, items };
  }
  if (isAlias(node)) {
    report(place, `Cannot use the YAML alias "*${node.source}": expected a param, "\${name}"`);
    return { type: "scalar", place, value: null };
  }
  const value = scalarValue(node.value);
  if (value === undefined && node.value !== null) {
    report(place, `Cannot use ${node.source}: expected a finite number, text, true, false or null`);
  }
  return { type: "scalar", place, value: value ?? null };
}

function entriesOf(
  items: readonly { readonly key: ParsedNode; readonly value: ParsedNode | null }[],
  reading: Reading,
): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const { key, value } of items) {
    const place = reading.placeAt(key.range[0]);
    const name = isScalar(key) ? String(key.value) : undefined;
    if (name !== undefined && entries.has(name)) {
      reading.report(place, "Cannot use a name twice in one mapping");
      continue;
    }
    if (name === undefined || name === "__proto__") {
      reading.report(place, `Cannot use ${name ?? "this"} as a name here: expected another text`);
      continue;
    }
    const empty: YamlNode = { type: "scalar", place, value: null };
    entries.set(name, { place, value: value ? convert(value, reading) : empty });
  }
  return entries;
}

function scalarValue(value: unknown): string | number | boolean | undefined {
  if (typeof value === "string" || typeof value === "boolean") return value;
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
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
