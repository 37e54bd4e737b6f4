import { type Complaint, complaintsOf, fieldsAt } from "./complaint.ts";
import { suggestion } from "./nearest.ts";
import { type Override, overrideSource } from "./override.ts";
import type { Param } from "./params.ts";
import type { Mark, Problem, Report } from "./problem.ts";
import type { AnyStage } from "../stage.ts";
import { type Data, referencesIn, substitute, typeWord, type Values } from "./substitution.ts";
import type { Entry, YamlNode } from "./yaml_tree.ts";

/** What a step's `with` needs to become parameters. */
export interface StepSource {
  readonly source: string;
  readonly step: string;
  readonly stage: { readonly name: string; readonly schema: AnyStage["params"] };
  /** The `with` of the step, and where the step's name stands. */
  readonly node: YamlNode | undefined;
  readonly mark: Mark;
  readonly params: ReadonlyMap<string, Param>;
  /** Those for this step; their paths begin with its name. */
  readonly overrides: readonly Override[];
}

/** Parameters of a step as its stage wants them, or undefined when `report` was told. */
export function readParameters(
  step: StepSource,
  report: Report,
): { readonly params: unknown } | undefined {
  const { schema } = step.stage;
  const literal = schema.safeParse(inputOf(step, "literal"));
  if (literal.success) return { params: literal.data };
  // A text param that was given a number: where the text does not fit, the number may.
  const parsed = schema.safeParse(inputOf(step, "parsed"));
  if (parsed.success) return { params: parsed.data };
  for (const complaint of literal.error.issues.flatMap((issue) => complaintsOf(issue))) {
    report({ ...placeOf(complaint, step), message: messageOf(complaint, step) });
  }
  return undefined;
}

function inputOf({ node, params, overrides }: StepSource, reading: Values["reading"]): Data {
  const empty = node === undefined || (node.type === "scalar" && node.value === null);
  const start: Data = empty ? {} : substitute(node, { params, reading });
  return overrides.reduce<Data>((data, { path, value }) => put(data, path.slice(1), value), start);
}

/** The same data with one value replaced; what is in the way of the path gives way. */
function put(data: Data, path: readonly string[], value: Data): Data {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  if (Array.isArray(data)) {
    return data.map((item: Data, i) => String(i) === name ? put(item, rest, value) : item);
  }
  const fields = isMapping(data) ? data : {};
  return { ...fields, [name]: put(fields[name] ?? null, rest, value) };
}

function messageOf({ path, text, unknown }: Complaint, source: StepSource): string {
  const { step, stage } = source;
  const name = path.join(".");
  if (unknown) {
    const known = fieldsAt(stage.schema, path.slice(0, -1));
    return `Cannot find "${name}" in the parameters of stage "${stage.name}": ${
      suggestion(String(path.at(-1)), known)
    }`;
  }
  if (text.startsWith("Cannot ")) return text;
  const given = valueAt(inputOf(source, "literal"), path);
  if (path.length === 0) {
    const what = isMapping(given) ? "" : `"with" is ${typeWord(given)}, `;
    return `Cannot use the parameters of step "${step}": ${what}${text}`;
  }
  if (given === undefined) {
    const wanted = text.replace(/, received undefined$/, "");
    return `Cannot run step "${step}" without "${name}": ${wanted}`;
  }
  const shown = typeof given === "object" ? typeWord(given) : JSON.stringify(given);
  return `Cannot use ${shown} for "${name}" of step "${step}": ${text}`;
}

/** Where the user finds what a complaint is about: a value, a name, or a `--set` argument. */
function placeOf(
  { path, unknown }: Complaint,
  { source, mark, node, params, overrides }: StepSource,
): Pick<Problem, "source" | "mark"> {
  const names = path.map(String);
  const setting = overrides.findLast((override) =>
    names.length > 0 && override.path.slice(1).every((name, i) => name === (names[i] ?? name))
  );
  if (setting !== undefined) return { source: overrideSource(setting) };
  let at: { readonly mark: Mark; readonly value: YamlNode | undefined } = { mark, value: node };
  for (const name of names) {
    const child = childOf(at.value, name);
    // What is missing is told where its holder has its name.
    if (child === undefined) return { source, mark: at.mark };
    at = child;
  }
  const [reference] = at.value === undefined ? [] : referencesIn(at.value);
  const override = reference?.whole ? params.get(reference.name)?.override : undefined;
  if (override !== undefined && !unknown) return { source: overrideSource(override) };
  return { source, mark: unknown ? at.mark : at.value?.mark ?? at.mark };
}

function childOf(node: YamlNode | undefined, name: string): Entry | undefined {
  if (node?.type === "map") return node.entries.get(name);
  const item = node?.type === "list" ? node.items[Number(name)] : undefined;
  return item && { mark: item.mark, value: item };
}

function valueAt(data: Data, path: readonly PropertyKey[]): Data | undefined {
  let at: Data | undefined = data;
  for (const name of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = (at as Readonly<Record<PropertyKey, Data>>)[name];
  }
  return at;
}

function isMapping(data: Data | undefined): data is { readonly [name: string]: Data } {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}
