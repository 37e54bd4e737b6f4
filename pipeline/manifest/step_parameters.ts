import { suggestion } from "./nearest.ts";
import { type Data, type Entry, isNull, typeWord, type YamlNode } from "./yaml_tree.ts";
import type { ManifestParam } from "./params.ts";
import type { Place, Report } from "./problem.ts";
import type { AnyStage } from "../stage.ts";
import { referencesIn } from "./references.ts";
import { substitute, TooLongError, type Values } from "./substitution.ts";
import { z } from "zod";

/** What a step's `with` needs to become parameters. */
export interface StepSource {
  readonly step: string;
  readonly stage: { readonly name: string; readonly is: AnyStage };
  /** The `with` of the step with what the command line makes of it. */
  readonly node: YamlNode | undefined;
  /** Where the step's name stands. */
  readonly place: Place;
  readonly params: ReadonlyMap<string, ManifestParam>;
}

/** Parameters of a step as its stage wants them, or undefined when `report` was told. */
export function readParameters(
  step: StepSource,
  report: Report,
): { readonly params: unknown } | undefined {
  try {
    return checkParameters(step, report);
  } catch (error) {
    if (!(error instanceof TooLongError)) throw error;
    report(error.place, error.message);
    return undefined;
  }
}

function checkParameters(
  step: StepSource,
  report: Report,
): { readonly params: unknown } | undefined {
  const { params: schema } = step.stage.is;
  const literal = schema.safeParse(inputOf(step, "literal"));
  if (literal.success) return { params: withoutGaps(literal.data) };
  // A text param that was given a number: where the text does not fit, the number may.
  const parsed = schema.safeParse(inputOf(step, "parsed"));
  if (parsed.success) return { params: withoutGaps(parsed.data) };
  for (const complaint of literal.error.issues.flatMap((issue) => complaintsOf(issue))) {
    report(placeOf(complaint, step), messageOf(complaint, step));
  }
  return undefined;
}

/** Parameters without those that a schema made nothing of, which are as if nobody had given them. */
function withoutGaps(params: unknown): unknown {
  if (typeof params !== "object" || params === null || Array.isArray(params)) return params;
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined));
}

function inputOf({ node, params }: StepSource, reading: Values["reading"]): Data {
  return node === undefined || isNull(node) ? {} : substitute(node, { params, reading });
}

function messageOf({ path, text, unknown }: Complaint, source: StepSource): string {
  const { step, stage } = source;
  const name = path.join(".");
  if (unknown) {
    const known = fieldsAt(stage.is.params, path.slice(0, -1));
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
  const shown = typeof given === "object" ? typeWord(given) : quoted(given);
  return `Cannot use ${shown} for "${name}" of step "${step}": ${text}`;
}

/** A value as a message shows it. */
function quoted(value: Data): string {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}

/** Where the user finds what a complaint is about: a value, a name, or a `--set` argument. */
function placeOf({ path, unknown }: Complaint, { place, node, params }: StepSource): Place {
  const step: { readonly place: Place; readonly value: YamlNode | undefined } = {
    place,
    value: node,
  };
  let at = step;
  for (const name of path.map(String)) {
    const child = at.value && childOf(at.value, name);
    // What is missing is told where its holder has its name, or where all of its holder was set.
    if (child === undefined) {
      const set = at !== step && at.value?.place.mark === undefined ? at.value?.place : undefined;
      return paramPlace(at.value, params) ?? set ?? at.place;
    }
    at = child;
  }
  if (unknown) return at.place;
  return paramPlace(at.value, params) ?? at.value?.place ?? at.place;
}

/** The place of the value that a param has from the matrix or the command line. */
function paramPlace(
  node: YamlNode | undefined,
  params: ReadonlyMap<string, ManifestParam>,
): Place | undefined {
  const [reference] = node === undefined ? [] : referencesIn(node);
  const param = reference?.whole ? params.get(reference.name) : undefined;
  return param?.override?.place ?? (param?.swept && param.valuePlace);
}

/** What stands under a name of a mapping or at an index of a list. */
export function childOf(node: YamlNode, name: string): Entry | undefined {
  if (node.type === "map") return node.entries.get(name);
  const item = node.type === "list" ? node.items[Number(name)] : undefined;
  return item && { place: item.place, value: item };
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

/** One complaint of a schema: the path it is about, and what would be right there. */
export interface Complaint {
  readonly path: readonly PropertyKey[];
  readonly text: string;
  /** The path names a field the schema does not know. */
  readonly unknown: boolean;
}

/** What a schema's issue says, one complaint for each place it is about. */
function complaintsOf(
  issue: z.core.$ZodIssue,
  above: readonly PropertyKey[] = [],
): Complaint[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key], text: issue.message, unknown: true }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const branches = issue.errors.map((issues) =>
      issues.flatMap((inner) => complaintsOf(inner, path))
    );
    // A branch that fails only further in is the one that was meant.
    const meant = branches.find((branch) => branch.every((one) => one.path.length > path.length));
    if (meant !== undefined) return meant;
    const wanted = branches.flat().map(({ text }) => text.replace(/^expected (.*?)(, .*)?$/, "$1"));
    return [{ path, text: `expected ${[...new Set(wanted)].join(" or ")}`, unknown: false }];
  }
  return [{ path, text: issue.message.replace(/^Invalid \w+: /, ""), unknown: false }];
}

/** Names a schema knows at a path, as far as its JSON Schema says. */
function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  for (const name of path) {
    const { properties, items } = (at ?? {}) as Record<string, Record<string, unknown>>;
    at = properties?.[String(name)] ?? items;
  }
  return Object.keys((at as { properties?: object } | undefined)?.properties ?? {});
}
