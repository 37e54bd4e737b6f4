import {
  agrees,
  type Combination,
  combine,
  combineUnder,
  type Line,
  product,
  type SweepMatrix,
  type Swept,
  valueText,
} from "./combinations.ts";
import { type Data, type Entry, isNull, type Scalar, wordFor, type YamlNode } from "./yaml_tree.ts";
import { suggestion } from "./nearest.ts";
import type { ManifestParam } from "./params.ts";
import type { Report } from "./problem.ts";

/** What reading a matrix needs beside it. */
interface Reading {
  readonly params: ReadonlyMap<string, ManifestParam>;
  readonly report: Report;
}

/** Combinations a matrix may have; more are a slip, and a plan of them would take seconds. */
const MOST = 1000;

/** The words beside the names of params. */
const WORDS = ["include", "exclude"];

const NOTHING: Combination = new Map();

/**
 * The combinations of a `matrix`, at least one; without a matrix that has no values.
 *
 * What a matrix means is in GitHub's description of workflows. The order of names changes nothing;
 * values and entries of `include` keep theirs.
 */
export function readMatrix(
  node: YamlNode | undefined,
  { params, report }: Reading,
): readonly Combination[] {
  if (node?.type !== "map" || node.entries.size === 0) return [NOTHING];
  const matrix = readWords(node.entries, { params, report });
  if (matrix === undefined) return [NOTHING];
  const sizes = [...matrix.axes.values()].map(({ length }) => length);
  const size = sizes.reduce((all, one) => all * one, 1) + matrix.include.length;
  if (size > MOST) {
    report(node.place, `Cannot sweep over ${size} combinations: expected at most ${MOST}`);
    return [NOTHING];
  }
  checkTexts(matrix, { params, report });
  const whole = product(matrix.axes);
  for (const { place, values } of matrix.exclude) {
    if (whole.some((one) => agrees(one, values))) continue;
    const said = [...values].map(([name, { value }]) => `${name}: ${JSON.stringify(value)}`);
    const message = `Cannot exclude { ${said.join(", ")} }: no combination has that`;
    report(place, `${message}, expected values of the matrix`);
  }
  const combinations = combine(matrix, params);
  const left = combineUnder(matrix, params);
  if (left.length > 0 && combinations.length > 0) return left;
  const none = "every combination is excluded, expected one at least";
  if (combinations.length === 0) report(node.place, `Cannot sweep: ${none}`);
  else for (const place of settings(matrix, params)) report(place, `Cannot sweep so: ${none}`);
  return [NOTHING];
}

/** What the words of a matrix say, or undefined where they say nothing that can be used. */
function readWords(
  entries: ReadonlyMap<string, Entry>,
  { params, report }: Reading,
): SweepMatrix | undefined {
  const names = [...entries.keys()].filter((name) => !WORDS.includes(name));
  const axes = new Map<string, readonly Swept[]>();
  for (const [name, { place, value }] of entries) {
    if (WORDS.includes(name)) continue;
    if (!params.has(name)) {
      const known = [...params.keys(), ...WORDS];
      report(place, `Cannot sweep over "${name}": ${suggestion(name, known)}`);
    }
    const values = readAxis(value, { name, report });
    if (values.length > 0) axes.set(name, values);
  }
  const exclude = readLines(entries.get("exclude")?.value, {
    word: "exclude",
    known: names,
    report,
  });
  const known = [...params.keys()];
  const include = readLines(entries.get("include")?.value, { word: "include", known, report });
  const sound = axes.size === names.length && (axes.size > 0 || include.length > 0);
  return sound && names.every((name) => params.has(name)) ? { axes, exclude, include } : undefined;
}

function readAxis(
  node: YamlNode,
  { name, report }: { readonly name: string; readonly report: Report },
): Swept[] {
  const items = node.type === "list" ? node.items : [];
  if (items.length === 0) {
    const is = node.type === "list" ? "an empty list" : wordFor(node);
    report(node.place, `Cannot sweep over "${name}": it has ${is}, expected a list of values`);
  }
  const values = new Map<Scalar, Swept>();
  for (const item of items) {
    const value = readValue(item, { name, report });
    if (value === undefined) continue;
    if (values.has(value)) {
      report(item.place, `Cannot sweep over "${name}" with ${JSON.stringify(value)} twice`);
    }
    values.set(value, { value, place: item.place });
  }
  return [...values.values()];
}

function readLines(
  node: YamlNode | undefined,
  { word, known, report }: {
    readonly word: "include" | "exclude";
    readonly known: readonly string[];
    readonly report: Report;
  },
): Line[] {
  if (node === undefined || isNull(node)) return [];
  const wanted = "expected a list of mappings such as - { param: 1 }";
  if (node.type !== "list") {
    report(node.place, `Cannot ${word} ${wordFor(node)}: ${wanted}`);
    return [];
  }
  return node.items.flatMap((item): Line[] => {
    if (item.type !== "map" || item.entries.size === 0) {
      const is = item.type === "map" ? "an empty mapping" : wordFor(item);
      report(item.place, `Cannot ${word} ${is}: ${wanted}`);
      return [];
    }
    const values = new Map<string, Swept>();
    for (const [name, { place, value: node }] of item.entries) {
      if (!known.includes(name)) {
        report(place, `Cannot ${word} by "${name}": ${suggestion(name, known)}`);
        continue;
      }
      const value = readValue(node, { name, report });
      if (value !== undefined) values.set(name, { value, place: node.place });
    }
    return values.size === item.entries.size ? [{ place: item.place, values }] : [];
  });
}

function readValue(
  node: YamlNode,
  { name, report }: { readonly name: string; readonly report: Report },
): Scalar | undefined {
  if (node.type === "scalar" && node.value !== null) return node.value;
  const wanted = "expected a number, text, true or false";
  report(node.place, `Cannot sweep "${name}" over ${wordFor(node)}: ${wanted}`);
  return undefined;
}

/** Reports values that the names of steps could not tell apart. */
function checkTexts({ axes, include }: SweepMatrix, { params, report }: Reading): void {
  const added = include.flatMap(({ values }) => [...values]);
  // A combination that an entry makes takes the params' own values where it says none.
  const usual = added.length === 0 ? [] : [...params.values()]
    .map(({ name, value, valuePlace: place }) => [name, { value, place }] as const);
  const swept = [...axes].flatMap(([name, values]) => values.map((one) => [name, one] as const));
  const met = new Map<string, Data>();
  for (const [name, { value, place }] of [...usual, ...swept, ...added]) {
    const text = `${name}=${valueText(value)}`;
    const before = met.get(text) ?? value;
    met.set(text, before);
    if (before === value) continue;
    const both = `${JSON.stringify(before)} and ${JSON.stringify(value)}`;
    report(place, `Cannot sweep "${name}" over ${both}: expected values that differ as text`);
  }
}

/** Where the command line sets params of a matrix. */
function settings({ axes, include }: SweepMatrix, params: Reading["params"]) {
  const names = new Set([...axes.keys(), ...include.flatMap(({ values }) => [...values.keys()])]);
  return [...names].flatMap((name) => params.get(name)?.override?.place ?? []);
}
