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
import type { Mark } from "./problem.ts";

/** A value that is no list and no mapping. */
export type Scalar = string | number | boolean | null;

/** An entry of a mapping; `mark` is where its name stands. */
export interface Entry {
  readonly mark: Mark;
  readonly value: YamlNode;
}

/** A part of a YAML text and where it stands. */
export type YamlNode =
  | { readonly type: "map"; readonly mark: Mark; readonly entries: ReadonlyMap<string, Entry> }
  | { readonly type: "list"; readonly mark: Mark; readonly items: readonly YamlNode[] }
  | { readonly type: "scalar"; readonly mark: Mark; readonly value: Scalar };

/** Levels of lists and mappings a manifest may have; deeper ones are mistakes or attacks. */
const DEPTH = 64;

/**
 * Reads YAML as data with places: no anchors, no tags, no merges, every name a text.
 *
 * Returns undefined for an empty text and after a syntax error, which `report` is told.
 */
export function parseYaml(
  text: string,
  report: (mark: Mark, message: string) => void,
): YamlNode | undefined {
  const lines = new LineCounter();
  const markAt = (offset: number): Mark => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), col: Math.max(1, col) };
  };
  const contents = compose(text, { lines, report: (at, message) => report(markAt(at), message) });
  if (!contents) return undefined;
  return convert(contents, { markAt, report, depth: 0 });
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
    });
    const first = document.errors.find(({ code }) => code !== "DUPLICATE_KEY");
    const told = [
      ...document.errors.filter(({ code }) => code === "DUPLICATE_KEY"),
      // One slip makes a syntax error of everything behind it.
      ...(first ? [first] : []),
      ...document.warnings,
    ];
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
  if (error.code === "DUPLICATE_KEY") return "Cannot use a name twice in one mapping";
  const hint = /\{.*\$\{[^}"']*\}/.test(line) ? ', expected quotes: "${…}" inside { }' : "";
  const what = error.message.replace(/[.;].*$/s, "").replace(/^Maximum call.*/, "it is too deep");
  return `Cannot read YAML: ${what}${hint}`;
}

interface Reading {
  readonly markAt: (offset: number) => Mark;
  readonly report: (mark: Mark, message: string) => void;
  readonly depth: number;
}

function convert(node: ParsedNode, reading: Reading): YamlNode {
  const { markAt, report, depth } = reading;
  const mark = markAt(node.range[0]);
  const deeper = { ...reading, depth: depth + 1 };
  if (depth > DEPTH) {
    report(mark, `Cannot read YAML deeper than ${DEPTH} levels`);
    return { type: "scalar", mark, value: null };
  }
  if (isMap(node)) return { type: "map", mark, entries: entriesOf(node.items, deeper) };
  if (isSeq(node)) {
    const items = node.items.map((item) => convert(item as ParsedNode, deeper));
    return { type: "list", mark, items };
  }
  if (isAlias(node)) {
    report(mark, `Cannot use the YAML alias "*${node.source}": expected a param, "\${name}"`);
    return { type: "scalar", mark, value: null };
  }
  const value = scalarValue(node.value);
  if (value === undefined && node.value !== null) {
    report(mark, `Cannot use ${node.source}: expected a finite number, text, true, false or null`);
  }
  return { type: "scalar", mark, value: value ?? null };
}

function entriesOf(
  items: readonly { readonly key: ParsedNode; readonly value: ParsedNode | null }[],
  reading: Reading,
): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const { key, value } of items) {
    const mark = reading.markAt(key.range[0]);
    const name = isScalar(key) ? String(key.value) : undefined;
    if (name === undefined || name === "__proto__" || entries.has(name)) {
      reading.report(mark, `Cannot use ${name ?? "this"} as a name here: expected another text`);
      continue;
    }
    const empty: YamlNode = { type: "scalar", mark, value: null };
    entries.set(name, { mark, value: value ? convert(value, reading) : empty });
  }
  return entries;
}

function scalarValue(value: unknown): string | number | boolean | undefined {
  if (typeof value === "string" || typeof value === "boolean") return value;
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
