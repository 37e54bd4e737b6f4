import { suggestion } from "./nearest.ts";
import type { Mark } from "./problem.ts";
import type { AnyStage, Registry } from "../stage.ts";
import { typeWord } from "./substitution.ts";
import type { Entry, YamlNode } from "./yaml_tree.ts";

/** Reports a problem at a place of the manifest being read. */
export type ReportAt = (mark: Mark, message: string) => void;

/** A step's name where an input names it. */
export interface Feed {
  readonly mark: Mark;
  readonly step: string;
}

/** What an input of a step is fed from. */
export interface Wire {
  readonly mark: Mark;
  readonly feeds: readonly Feed[];
}

/** A step as the file has it: its words are known, its parameters and its wiring not yet checked. */
export interface Draft {
  readonly name: string;
  readonly mark: Mark;
  /** Missing where the file names none that exists. */
  readonly stage?: { readonly name: string; readonly is: AnyStage };
  readonly from: ReadonlyMap<string, Wire>;
  readonly with: YamlNode | undefined;
}

/** The two parts of a manifest; unknown ones are reported. */
export function readTop(
  root: YamlNode | undefined,
  at: ReportAt,
): { readonly params: YamlNode | undefined; readonly steps: ReadonlyMap<string, Entry> } {
  const start: Mark = root?.mark ?? { line: 1, col: 1 };
  const top = mapping(root, { what: "the manifest", such: "steps: …", at });
  checkNames(top, { known: ["params", "steps"], what: "a manifest", at });
  const params = top.get("params");
  const steps = top.get("steps");
  mapping(params?.value, { what: '"params"', such: "model: path", at });
  const found = mapping(steps?.value, { what: '"steps"', such: "name: { stage: … }", at });
  if (found.size === 0 && (root === undefined || root.type === "map")) {
    at(steps?.mark ?? start, 'Cannot find a step: expected "steps" with at least one');
  }
  return { params: params?.value, steps: found };
}

/** One entry of `steps`. */
export function readDraft(
  name: string,
  { entry: { mark, value }, stages, at }: {
    readonly entry: Entry;
    readonly stages: Registry;
    readonly at: ReportAt;
  },
): Draft {
  if (!/^[A-Za-z_][\w-]*$/.test(name)) {
    at(mark, `Cannot name a step "${name}": expected letters, digits, "_" and "-"`);
  }
  const what = `step "${name}"`;
  const words = mapping(value, { what, such: "{ stage: … }", at });
  if (value.type !== "map" && !isEmpty(value)) {
    return { name, mark, from: new Map(), with: undefined };
  }
  checkNames(words, { known: ["stage", "from", "with"], what, at });
  const from = words.get("from")?.value;
  const stage = readStage(words.get("stage"), { name, mark, stages, at });
  return {
    name,
    mark,
    ...stage && { stage },
    from: readFrom(from, { name, at }),
    with: words.get("with")?.value,
  };
}

function readStage(
  entry: Entry | undefined,
  { name, mark, stages, at }: {
    readonly name: string;
    readonly mark: Mark;
    readonly stages: Registry;
    readonly at: ReportAt;
  },
): Draft["stage"] {
  const known = Object.keys(stages);
  if (entry === undefined) {
    at(mark, `Cannot run step "${name}" without "stage": expected one of ${known.join(", ")}`);
    return undefined;
  }
  const given = entry.value.type === "scalar" ? entry.value.value : undefined;
  const is = typeof given === "string" && Object.hasOwn(stages, given) ? stages[given] : undefined;
  if (is !== undefined) return { name: String(given), is };
  const shown = given === undefined ? typeWord([]) : `"${given}"`;
  at(entry.value.mark, `Cannot find stage ${shown}: ${suggestion(String(given), known)}`);
  return undefined;
}

function readFrom(
  node: YamlNode | undefined,
  { name, at }: { readonly name: string; readonly at: ReportAt },
): Map<string, Wire> {
  const inputs = mapping(node, { what: `"from" of step "${name}"`, such: "{ model: source }", at });
  const wires = new Map<string, Wire>();
  for (const [input, { mark, value }] of inputs) {
    const items = value.type === "list" ? value.items : [value];
    const feeds = items.flatMap((item): Feed[] => {
      if (item.type === "scalar" && item.value !== null) {
        return [{ mark: item.mark, step: String(item.value) }];
      }
      at(item.mark, `Cannot feed "${input}" of step "${name}": expected the name of a step`);
      return [];
    });
    wires.set(input, { mark, feeds });
  }
  return wires;
}

function mapping(
  node: YamlNode | undefined,
  { what, such, at }: { readonly what: string; readonly such: string; readonly at: ReportAt },
): ReadonlyMap<string, Entry> {
  if (node?.type === "map") return node.entries;
  if (node === undefined || isEmpty(node)) return new Map();
  const is = node.type === "list" ? "a list" : typeWord(node.value);
  at(node.mark, `Cannot read ${what}: it is ${is}, expected a mapping such as ${such}`);
  return new Map();
}

function isEmpty(node: YamlNode): boolean {
  return node.type === "scalar" && node.value === null;
}

function checkNames(
  entries: ReadonlyMap<string, Entry>,
  { known, what, at }: {
    readonly known: readonly string[];
    readonly what: string;
    readonly at: ReportAt;
  },
): void {
  for (const [name, { mark }] of entries) {
    if (!known.includes(name)) {
      at(mark, `Cannot use "${name}" in ${what}: ${suggestion(name, known)}`);
    }
  }
}
