import type { Manifest, ManifestOptions, Step } from "./manifest.ts";
import type { Combination } from "./combinations.ts";
import { type Draft, readDraft, readTop } from "./draft.ts";
import { readExpectations } from "./expectations.ts";
import { growLabels } from "./labels.ts";
import { readMatrix } from "./matrix.ts";
import { applyOverride, type Override, parseOverride, type Setting, sourceOf } from "./override.ts";
import { checkOverrides, checkReferences, type ManifestParam, readParams } from "./params.ts";
import { ManifestError, type Problem, type Report, sortProblems } from "./problem.ts";
import { readFile, readSources } from "./sources.ts";
import { readParameters } from "./step_parameters.ts";
import { type Reference, referencesIn } from "./references.ts";
import { meaningOf } from "./substitution.ts";
import { expand, type Variant } from "./sweep.ts";
import { orderSteps, readInputs } from "./wiring.ts";
import type { Data, YamlNode } from "./yaml_tree.ts";

/** Problems that are told at once. */
const MOST_PROBLEMS = 200;

/** The words behind a step of a manifest, with their places. */
export interface StepWords {
  readonly variant: Variant;
  /** Its `with`, as the command line and the sweep have it. */
  readonly node: YamlNode | undefined;
  /** The params as they are for this step. */
  readonly params: ReadonlyMap<string, ManifestParam>;
}

/** A checked manifest and what was written for each of its steps. */
export interface Resolved {
  readonly manifest: Manifest;
  readonly words: ReadonlyMap<string, StepWords>;
}

/** Does what `parseManifest()` does, and keeps where everything comes from. */
export function resolveManifest(
  text: string,
  { path, stages, set = [], read = readFile }: ManifestOptions,
): Resolved {
  const problems: Problem[] = [];
  const files: string[] = [];
  const fail = () => new ManifestError(sortProblems(problems, files));
  const report: Report = (place, message) => {
    problems.push({ ...place, message });
    // Every problem is looked at beside all names there are.
    if (problems.length >= MOST_PROBLEMS) throw fail();
  };
  const { root, sources } = readSources(path, { text, read, report });
  files.push(...sources.map(({ path }) => path));
  const unreadable = problems.length > 0;
  const overrides = readOverrides(set, report);
  // What cannot be read as YAML would only give follow-up problems.
  if (unreadable) throw fail();

  const top = readTop(root, { path, at: report });
  const written = [...top.steps].map(([name, entry]) =>
    readDraft(name, { entry, stages, at: report })
  );
  const declared = readParams(top.params, { overrides, report });
  const combinations = readMatrix(top.matrix, { params: declared, report });
  const references = [
    ...written.flatMap(referencesOf),
    ...top.expect ? referencesIn(top.expect) : [],
  ];
  const params = withoutUnused(declared, { path, references, combinations });
  checkReferences(references, { params, report });
  const drafts = new Map(
    written.map((draft) => [draft.name, underOverrides(draft, { overrides, report })]),
  );
  const variants = expandDrafts(drafts, { combinations, report });
  checkOverrides(overrides, { params, drafts, variants, report });

  const words = new Map<string, StepWords>();
  // A use of a param that is not there is told already.
  const sound = written.filter((draft) =>
    referencesOf(draft).every(({ name }) => params.has(name))
  );
  const names = new Set(sound.map(({ name }) => name));
  for (const [name, variant] of variants) {
    if (!names.has(variant.draft.name)) continue;
    const special = variant.values.size > 0 ? overrides.filter(({ path }) => path[0] === name) : [];
    const grown = growLabels(variant, { variants, report });
    const node = special.reduce((node, one) => applyOverride(node, one, report), grown);
    words.set(name, { variant, node, params: underValues(params, variant.values) });
  }
  const steps = [...words].flatMap(([name, one]) => readStep(name, { ...one, report }) ?? []);
  const expect = readExpectations(top.expect, { steps: [...drafts.keys()], params, report });
  if (problems.length > 0) throw fail();
  return {
    manifest: {
      path,
      params: meanings(params, combinations),
      steps,
      sources,
      ...top.verify && { verify: top.verify },
      ...expect.length > 0 && { expect },
      ...top.next !== undefined && { next: top.next },
    },
    words,
  };
}

function readOverrides(set: readonly Setting[], report: Report): Override[] {
  return set.flatMap((setting) => {
    try {
      return [parseOverride(setting)];
    } catch (error) {
      report({ source: sourceOf(setting) }, (error as Error).message);
      return [];
    }
  });
}

function referencesOf(draft: Draft): Reference[] {
  return draft.with === undefined ? [] : referencesIn(draft.with);
}

/** The params without those of an extended file that nothing uses any more. */
function withoutUnused(
  params: ReadonlyMap<string, ManifestParam>,
  { path, references, combinations }: {
    readonly path: string;
    readonly references: readonly Reference[];
    readonly combinations: readonly Combination[];
  },
): Map<string, ManifestParam> {
  const used = new Set(references.map(({ name }) => name));
  const swept = combinations[0] ?? new Map();
  const own = ({ name, place, override }: ManifestParam) =>
    place.source === path || override !== undefined || swept.has(name);
  return new Map([...params].filter(([name, param]) => used.has(name) || own(param)));
}

function underOverrides(
  draft: Draft,
  { overrides, report }: { readonly overrides: readonly Override[]; readonly report: Report },
): Draft {
  const own = overrides.filter(({ path }) => path.length > 1 && path[0] === draft.name);
  return own.reduce((draft, one) => {
    return { ...draft, with: applyOverride(draft.with, one, report) };
  }, draft);
}

function expandDrafts(
  drafts: ReadonlyMap<string, Draft>,
  { combinations, report }: {
    readonly combinations: readonly Combination[];
    readonly report: Report;
  },
): Map<string, Variant> {
  const inputs = new Map(
    [...drafts].map(([name, draft]) => [name, readInputs(draft, { drafts, at: report })]),
  );
  // Steps on a circle are checked like all others.
  const order = [...new Set([...orderSteps(drafts, report), ...drafts.keys()])];
  const variants = expand({ drafts, order, inputs, combinations, report });
  return new Map(variants.map((variant) => [variant.name, variant]));
}

/** The params with what a combination gives them. */
function underValues(
  params: ReadonlyMap<string, ManifestParam>,
  values: Combination,
): ReadonlyMap<string, ManifestParam> {
  if (values.size === 0) return params;
  return new Map([...params].map(([name, param]) => {
    const swept = values.get(name);
    if (swept === undefined) return [name, param];
    return [name, { ...param, value: swept.value, valuePlace: swept.place, swept: true }];
  }));
}

function readStep(
  name: string,
  { variant: { draft, inputs }, node, params, report }: StepWords & { readonly report: Report },
): Step | undefined {
  const { place, stage } = draft;
  if (stage === undefined) return undefined;
  const source = { step: draft.name, stage, node, place, params };
  const read = readParameters(source, report);
  const { source: file, mark } = place;
  return read &&
    { name, stage: stage.name, ...read, inputs, source: file, line: mark?.line ?? 1 };
}

/** What params stand for: one value, or all that a sweep gives them. */
function meanings(
  params: ReadonlyMap<string, ManifestParam>,
  combinations: readonly Combination[],
): Record<string, Data> {
  const meaning = (name: string): Data => {
    const values = combinations.flatMap((one) => one.get(name)?.value ?? []);
    if (combinations[0]?.has(name)) return [...new Set(values)];
    return meaningOf(name, { params, reading: "literal" });
  };
  return Object.fromEntries([...params.keys()].map((name) => [name, meaning(name)]));
}
