import { suggestion } from "./nearest.ts";
import type { ManifestParam } from "./params.ts";
import type { Place, Report } from "./problem.ts";
import { substitute } from "./substitution.ts";
import { wordFor, type YamlNode } from "./yaml_tree.ts";

const RELATIONS = {
  "<=": (value: number, bound: number) => value <= bound,
  ">=": (value: number, bound: number) => value >= bound,
  "<": (value: number, bound: number) => value < bound,
  ">": (value: number, bound: number) => value > bound,
} as const;

/** What a score of a step must be for a run to be a good one. */
export interface Expectation {
  /** The step, by the name that the file has for it: in a sweep it means all its variants. */
  readonly step: string;
  readonly score: string;
  readonly relation: keyof typeof RELATIONS;
  readonly bound: number;
}

/** Whether a score is as expected; NaN never is. */
export function meets({ relation, bound }: Expectation, value: number): boolean {
  return RELATIONS[relation](value, bound);
}

/** An expectation's condition as the file has it: `<= 1.05`. */
export function conditionText({ relation, bound }: Expectation): string {
  return `${relation} ${bound}`;
}

/** The `expect` of a manifest: `step.score: "<= 1.05"` each, params replaced. */
export function readExpectations(
  node: YamlNode | undefined,
  { steps, params, report }: {
    /** Names of the steps, as the file has them. */
    readonly steps: readonly string[];
    readonly params: ReadonlyMap<string, ManifestParam>;
    readonly report: Report;
  },
): readonly Expectation[] {
  if (node?.type !== "map") return [];
  return [...node.entries].flatMap(([name, { place, value }]) => {
    const subject = readSubject(name, { steps, place, report });
    const condition = readCondition(name, { node: value, params, report });
    return subject && condition ? [{ ...subject, ...condition }] : [];
  });
}

function readSubject(
  name: string,
  { steps, place, report }: {
    readonly steps: readonly string[];
    readonly place: Place;
    readonly report: Report;
  },
): Pick<Expectation, "step" | "score"> | undefined {
  const dot = name.lastIndexOf(".");
  const [step, score] = [name.slice(0, Math.max(0, dot)), name.slice(dot + 1)];
  if (dot < 1 || score === "") {
    report(
      place,
      `Cannot expect anything of "${name}": expected step.score, such as qoq.perplexity`,
    );
  } else if (!steps.includes(step)) {
    report(place, `Cannot expect anything of step "${step}": ${suggestion(step, steps)}`);
  } else return { step, score };
  return undefined;
}

function readCondition(
  name: string,
  { node, params, report }: {
    readonly node: YamlNode;
    readonly params: ReadonlyMap<string, ManifestParam>;
    readonly report: Report;
  },
): Pick<Expectation, "relation" | "bound"> | undefined {
  const said = node.type === "scalar"
    ? substitute(node, { params, reading: "literal" })
    : undefined;
  const [, relation, number] = /^\s*(<=|>=|<|>)\s*(\S+)\s*$/.exec(String(said ?? "")) ?? [];
  const bound = Number(number);
  if (relation !== undefined && Number.isFinite(bound)) {
    return { relation: relation as Expectation["relation"], bound };
  }
  const is = said === undefined ? wordFor(node) : JSON.stringify(said);
  report(
    node.place,
    `Cannot expect "${name}" to be ${is}: expected a condition, such as "<= 1.05"`,
  );
  return undefined;
}
