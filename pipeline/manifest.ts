import { type Draft, readDraft, readTop } from "./manifest/draft.ts";
import { type Override, parseOverride } from "./manifest/override.ts";
import { checkReferences, readParams } from "./manifest/params.ts";
import {
  ManifestError,
  type Mark,
  type Problem,
  type Report,
  sortProblems,
} from "./manifest/problem.ts";
import type { Registry } from "./stage.ts";
import { readParameters } from "./manifest/step_parameters.ts";
import { referencesIn, valueOf } from "./manifest/substitution.ts";
import { orderSteps, readInputs } from "./manifest/wiring.ts";
import { parseYaml, type Scalar } from "./manifest/yaml_tree.ts";

/** One validated node of a run. */
export interface Step {
  readonly name: string;
  /** The stage's name in the registry. */
  readonly stage: string;
  /** As the stage's schema gave them, with its defaults. */
  readonly params: unknown;
  /** Names of the steps that feed each input. */
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  /** Where the step stands in the file. */
  readonly line: number;
}

/** A checked manifest; its steps are in an order where inputs come first. */
export interface Manifest {
  readonly path: string;
  /** What the params stand for in this run. */
  readonly params: Readonly<Record<string, Scalar>>;
  readonly steps: readonly Step[];
}

/** What a manifest is checked against. */
export interface ManifestOptions {
  /** Name of the file in messages. */
  readonly path: string;
  readonly stages: Registry;
  /** `--set` arguments: `name=value` or `step.key=value`. */
  readonly set?: readonly string[];
}

/** Reads and checks a manifest file; see {@linkcode parseManifest}. */
export async function readManifest(
  path: string,
  options: Omit<ManifestOptions, "path">,
): Promise<Manifest> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound;
    const why = missing ? "there is no such file" : (error as Error).message;
    throw new ManifestError([{ source: path, message: `Cannot read the manifest: ${why}` }]);
  }
  return parseManifest(text, { ...options, path });
}

/**
 * Checks a manifest against the stages there are, and fills in params and defaults.
 *
 * Throws a {@linkcode ManifestError} with everything that is wrong, and nothing else.
 */
export function parseManifest(text: string, { path, stages, set = [] }: ManifestOptions): Manifest {
  const problems: Problem[] = [];
  const report: Report = (problem) => problems.push(problem);
  const at = (mark: Mark, message: string) => report({ source: path, mark, message });
  const overrides = readOverrides(set, report);
  const root = parseYaml(text, at);
  // What cannot be read as YAML would only give follow-up problems.
  if (problems.some(({ source }) => source === path)) throw new ManifestError(problems);

  const top = readTop(root, at);
  const drafts = new Map(
    [...top.steps].map(([name, entry]) => [name, readDraft(name, { entry, stages, at })]),
  );
  const names = [...drafts.keys()];
  const params = readParams(top.params, { source: path, steps: names, overrides, report });
  const references = [...drafts.values()].flatMap(referencesOf);
  checkReferences(references, { params, source: path, report });

  const steps = new Map<string, Step>();
  for (const draft of drafts.values()) {
    const inputs = readInputs(draft, { drafts, at });
    if (draft.stage === undefined) continue;
    if (referencesOf(draft).some((reference) => !params.has(reference.name))) continue;
    const { name, mark, stage } = draft;
    const own = overrides.filter(({ path }) => path.length > 1 && path[0] === name);
    const read = readParameters({
      source: path,
      step: name,
      stage: { name: stage.name, schema: stage.is.params },
      node: draft.with,
      mark,
      params,
      overrides: own,
    }, report);
    if (read) steps.set(name, { name, stage: stage.name, ...read, inputs, line: mark.line });
  }
  const order = orderSteps(drafts, at);
  if (problems.length > 0) throw new ManifestError(sortProblems(problems));
  const values = [...params.keys()];
  return {
    path,
    params: Object.fromEntries(
      values.map((name) => [name, valueOf(name, { params, reading: "literal" })]),
    ),
    steps: order.flatMap((name) => steps.get(name) ?? []),
  };
}

function referencesOf(draft: Draft): ReturnType<typeof referencesIn> {
  return draft.with === undefined ? [] : referencesIn(draft.with);
}

function readOverrides(set: readonly string[], report: Report): Override[] {
  return set.flatMap((text) => {
    try {
      return [parseOverride(text)];
    } catch (error) {
      report({ source: `--set ${text}`, message: (error as Error).message });
      return [];
    }
  });
}
