import { dirname, join } from "node:path";
import { type Entry, isNull, typeWord, wordFor, type YamlNode } from "./yaml_tree.ts";
import { suggestion } from "./nearest.ts";
import type { Place, Report } from "./problem.ts";
import type { AnyStage, Registry } from "../stage.ts";
import { VERIFY, type Verify } from "../store/damage.ts";

/** A step's name where an input names it. */
export interface Feed {
  readonly place: Place;
  readonly step: string;
}

/** What an input of a step is fed from. */
export interface Wire {
  readonly place: Place;
  readonly feeds: readonly Feed[];
}

/** A step as the file has it: its words are known, its parameters and its wiring not yet checked. */
export interface Draft {
  readonly name: string;
  readonly place: Place;
  /** Missing where the file names none that exists. */
  readonly stage?: { readonly name: string; readonly is: AnyStage; readonly place: Place };
  readonly from: ReadonlyMap<string, Wire>;
  readonly with: YamlNode | undefined;
}

/** The parts of a manifest. */
export interface Parts {
  readonly params: YamlNode | undefined;
  readonly matrix: YamlNode | undefined;
  readonly verify: Verify | undefined;
  readonly expect: YamlNode | undefined;
  /** The manifest that `next` names, beside the file that names it. */
  readonly next: string | undefined;
  readonly steps: ReadonlyMap<string, Entry>;
}

/** The parts of a manifest over those it extends; unknown ones are reported. */
export function readTop(
  root: YamlNode | undefined,
  { path, at }: { readonly path: string; readonly at: Report },
): Parts {
  const start: Place = root?.place ?? { source: path, mark: { line: 1, col: 1 } };
  const top = mapping(root, { what: "the manifest", such: "steps: …", at });
  checkNames(top, {
    known: ["extends", "params", "matrix", "verify", "expect", "next", "steps"],
    what: "a manifest",
    at,
  });
  const params = top.get("params");
  const matrix = top.get("matrix");
  const steps = top.get("steps");
  const expect = top.get("expect")?.value;
  if (!expect || !isNull(expect)) {
    mapping(expect, { what: '"expect"', such: 'step.score: "<= 1.05"', at });
  }
  mapping(params?.value, { what: '"params"', such: "model: path", at });
  mapping(matrix?.value, { what: '"matrix"', such: "param: [1, 2]", at });
  const found = mapping(steps?.value, { what: '"steps"', such: "name: { stage: … }", at });
  if (found.size === 0 && (root === undefined || root.type === "map")) {
    at(steps?.place ?? start, 'Cannot find a step: expected "steps" with at least one');
  }
  const verify = readVerify(top.get("verify")?.value, at);
  const next = readNext(top.get("next")?.value, at);
  return { params: params?.value, matrix: matrix?.value, verify, expect, next, steps: found };
}

function readNext(node: YamlNode | undefined, at: Report): string | undefined {
  if (node === undefined || isNull(node)) return undefined;
  if (node.type === "scalar" && typeof node.value === "string") {
    return join(dirname(node.place.source), node.value);
  }
  at(node.place, `Cannot go on with ${wordFor(node)}: expected the name of a manifest`);
  return undefined;
}

function readVerify(node: YamlNode | undefined, at: Report): Verify | undefined {
  if (node === undefined || isNull(node)) return undefined;
  const given = node.type === "scalar" ? node.value : undefined;
  const found = VERIFY.find((word) => word === given);
  if (found === undefined) {
    const is = given === undefined ? wordFor(node) : JSON.stringify(given);
    at(node.place, `Cannot verify artifacts by ${is}: expected one of ${VERIFY.join(", ")}`);
  }
  return found;
}

/** A step's name; the brackets are those of a sweep that was written out. */
const NAME = /^[A-Za-z_][\w-]*(\[[^[\]\s/"'\\*?]+\])?$/;

/** One entry of `steps`. */
export function readDraft(
  name: string,
  { entry: { place, value }, stages, at }: {
    readonly entry: Entry;
    readonly stages: Registry;
    readonly at: Report;
  },
): Draft {
  if (!NAME.test(name)) {
    at(place, `Cannot name a step "${name}": expected letters, digits, "_" and "-"`);
  }
  const what = `step "${name}"`;
  const words = mapping(value, { what, such: "{ stage: … }", at });
  if (value.type !== "map" && !isNull(value)) {
    return { name, place, from: new Map(), with: undefined };
  }
  checkNames(words, { known: ["stage", "from", "with"], what, at });
  const from = words.get("from")?.value;
  const stage = readStage(words.get("stage"), { name, place, stages, at });
  return {
    name,
    place,
    ...stage && { stage },
    from: readFrom(from, { name, at }),
    with: words.get("with")?.value,
  };
}

function readStage(
  entry: Entry | undefined,
  { name, place, stages, at }: {
    readonly name: string;
    readonly place: Place;
    readonly stages: Registry;
    readonly at: Report;
  },
): Draft["stage"] {
  const known = Object.keys(stages);
  if (entry === undefined) {
    at(place, `Cannot run step "${name}" without "stage": expected one of ${known.join(", ")}`);
    return undefined;
  }
  const given = entry.value.type === "scalar" ? entry.value.value : undefined;
  const is = typeof given === "string" && Object.hasOwn(stages, given) ? stages[given] : undefined;
  if (is !== undefined) return { name: String(given), is, place: entry.value.place };
  const shown = given === undefined ? typeWord([]) : `"${given}"`;
  at(entry.value.place, `Cannot find stage ${shown}: ${suggestion(String(given), known)}`);
  return undefined;
}

function readFrom(
  node: YamlNode | undefined,
  { name, at }: { readonly name: string; readonly at: Report },
): Map<string, Wire> {
  const inputs = mapping(node, { what: `"from" of step "${name}"`, such: "{ model: source }", at });
  const wires = new Map<string, Wire>();
  for (const [input, { place, value }] of inputs) {
    const items = value.type === "list" ? value.items : [value];
    const feeds = items.flatMap((item): Feed[] => {
      if (item.type === "scalar" && item.value !== null) {
        return [{ place: item.place, step: String(item.value) }];
      }
      at(item.place, `Cannot feed "${input}" of step "${name}": expected the name of a step`);
      return [];
    });
    wires.set(input, { place, feeds });
  }
  return wires;
}

function mapping(
  node: YamlNode | undefined,
  { what, such, at }: { readonly what: string; readonly such: string; readonly at: Report },
): ReadonlyMap<string, Entry> {
  if (node?.type === "map") return node.entries;
  if (node === undefined || isNull(node)) return new Map();
  at(node.place, `Cannot read ${what}: it is ${wordFor(node)}, expected a mapping such as ${such}`);
  return new Map();
}

function checkNames(
  entries: ReadonlyMap<string, Entry>,
  { known, what, at }: {
    readonly known: readonly string[];
    readonly what: string;
    readonly at: Report;
  },
): void {
  for (const [name, { place }] of entries) {
    if (!known.includes(name)) {
      at(place, `Cannot use "${name}" in ${what}: ${suggestion(name, known)}`);
    }
  }
}
