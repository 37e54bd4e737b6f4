import type { Description, Figure, Section } from "../../description.ts";
import { compareDocuments, describeField, differs, shown } from "../../plan/difference.ts";
import { goesOn, type RunRecord, type StepRecord } from "../../store/runs.ts";
import { canonicalJson } from "../../store/key.ts";
import { count, formatScores, formatSeconds, significant } from "../../words.ts";
import { runWords } from "./run.ts";
import { type ScoredSteps, untoldScores } from "./scored.ts";

/** Runs as a table, the newest last, next to where one types. */
export async function describeRuns(
  runs: readonly RunRecord[],
  store: string,
): Promise<Description> {
  const columns = ["run", "manifest", "started", "how it went", "steps made", "scores"]
    .map((heading) => ({ heading, number: heading === "steps made" }));
  const rows = await Promise.all(
    runs.toReversed().map(async (run) => [
      run.id,
      run.manifest,
      run.started.slice(0, 19).replace("T", " "),
      runWords(run, { goesOn: await goesOn(store, run) }),
      `${run.steps.filter(({ state }) => state === "run").length} of ${run.steps.length}`,
      listedScores(run),
    ]),
  );
  const title = `${count(runs.length, "run")} in ${store}`;
  return { title, warnings: [], sections: [{ title: "Runs", table: { columns, rows } }] };
}

/** Scores that have room in a line of a list. */
const MOST_LISTED = 5;

function listedScores({ scores }: RunRecord): string {
  const number = Object.keys(scores).length;
  return number > MOST_LISTED ? `${number}, which runs show has` : formatScores(scores);
}

/** A run, with the figures of its scored steps. */
export interface ToldRun {
  readonly run: RunRecord;
  readonly figures: ScoredSteps;
}

/** What two runs have that differs: params, what steps were made from, scores and times. */
export async function describeRunDifference(
  first: ToldRun,
  second: ToldRun,
): Promise<Description> {
  const [before, now] = [first.run, second.run];
  const pairs = pairsOf(before, now);
  const sections = [
    runsSection(before, now),
    paramsSection(before, now),
    ...onlySections(pairs),
    stepsSection(pairs),
    await scoresSection(first, second),
    timesSection(pairs),
  ].filter((section) => section !== undefined);
  return { title: `${before.id} and ${now.id}`, warnings: [], sections };
}

/** The steps of two runs by their names, those of the later run first. */
type Pair = readonly [name: string, before: StepRecord | undefined, now: StepRecord | undefined];

function pairsOf(before: RunRecord, now: RunRecord): readonly Pair[] {
  const names = new Set([...now.steps, ...before.steps].map(({ name }) => name));
  const of = (run: RunRecord, name: string) => run.steps.find((step) => step.name === name);
  return [...names].map((name) => [name, of(before, name), of(now, name)] as const);
}

function runsSection(before: RunRecord, now: RunRecord): Section {
  const rows = ([
    ["manifest", ({ manifest }) => manifest],
    ["started", ({ started }) => started.slice(0, 19).replace("T", " ")],
    ["seconds", ({ seconds }) => formatSeconds(seconds)],
    ...Object.keys({ ...before.environment, ...now.environment }).map((name) =>
      [name, ({ environment }: RunRecord) => environment[name] ?? ""] as const
    ),
  ] as const satisfies readonly (readonly [string, (run: RunRecord) => string])[])
    .map(([name, of]) => [name, of(before), of(now)])
    .filter(([, was, is]) => was !== is);
  return { title: "Runs", table: { columns: sides(before, now), rows } };
}

function paramsSection(before: RunRecord, now: RunRecord): Section | undefined {
  const rows = Object.keys({ ...before.params, ...now.params })
    .map((name) => [name, before.params[name], now.params[name]] as const)
    .filter(([, was, is]) => canonicalJson({ was }) !== canonicalJson({ was: is }))
    .map(([name, was, is]) => [name, valueText(was), valueText(is)]);
  if (rows.length === 0) return undefined;
  return { title: "Params", table: { columns: sides(before, now), rows } };
}

/** Steps that one of the runs has alone, in a line each. */
function onlySections(pairs: readonly Pair[]): Section[] {
  const lines = ([["first", 2], ["second", 1]] as const).flatMap(([which, other]) => {
    const names = pairs.filter((pair) => !pair[other]).map(([name]) => name);
    return names.length === 0 ? [] : [`only in the ${which}: ${names.join(", ")}`];
  });
  return lines.length === 0 ? [] : [{ title: "Steps", lines }];
}

function stepsSection(pairs: readonly Pair[]): Section | undefined {
  const lines = pairs.flatMap(([name, before, now]) => {
    if (!before || !now) return [];
    if (!before.recipe || !now.recipe) {
      return before.state === now.state ? [] : [`${name}: ${before.state} → ${now.state}`];
    }
    // Inputs are what the steps before have made: what they were made from stands there.
    const changes = compareDocuments(before.recipe, now.recipe)
      .filter((field) => field.part !== "inputs" && differs(field))
      .map((field) => describeField(field, now.stage));
    const digests = before.digest !== undefined && now.digest !== undefined;
    const same = digests && before.digest === now.digest;
    return [
      ...changes.map((text) => `${name}: ${text}`),
      ...changes.length > 0 && same ? [`${name}: came out the same, byte for byte`] : [],
    ];
  });
  return lines.length === 0 ? undefined : { title: "What steps were made from", lines };
}

/** What both runs have scored, with errors where the store still has the artifacts. */
async function scoresSection(first: ToldRun, second: ToldRun): Promise<Section | undefined> {
  const told = new Set([...second.figures.keys()].filter((step) => first.figures.has(step)));
  const [before, now] = [first, second].map((one) => scoresOf(one, told));
  const rows: string[][] = [];
  for (const [name, is] of now!) {
    const was = before!.get(name);
    if (was) rows.push([name, was.text, is.text, await changeText(was, is)]);
  }
  if (rows.length === 0) return undefined;
  const columns = [...sides(first.run, second.run), { heading: "change", number: true }];
  return { title: "Scores", table: { columns, rows } };
}

/** A run's scores by their names: figures of the steps that both runs tell, else those of its record. */
function scoresOf(
  { run, figures }: ToldRun,
  told: ReadonlySet<string>,
): ReadonlyMap<string, Pick<Figure, "value" | "text" | "parts">> {
  const shown = new Map([...figures].filter(([step]) => told.has(step)));
  return new Map([
    ...[...shown].flatMap(([step, some]) =>
      some.map((figure) => [`${step}: ${figure.name}`, figure] as const)
    ),
    ...Object.entries(untoldScores(run, shown)).map(([name, value]) =>
      [name, { value, text: value.toPrecision(6) }] as const
    ),
  ]);
}

/** Held against each other part by part where both have the same parts. */
async function changeText(
  { value: was, parts: before }: Pick<Figure, "value" | "parts">,
  { value: is, parts }: Pick<Figure, "value" | "parts">,
): Promise<string> {
  if (was === is) return "same";
  const told = before?.of === parts?.of ? await before?.values() : undefined;
  const difference = told && await parts?.difference(told);
  if (difference !== undefined) return difference;
  if (was === 0) return "";
  return `${is > was ? "+" : ""}${significant(100 * (is / was - 1), 3)} %`;
}

function timesSection(pairs: readonly Pair[]): Section | undefined {
  const seconds = (step: StepRecord | undefined) =>
    step?.state === "run" ? step.seconds.toFixed(1) : step?.state ?? "";
  const rows = pairs.filter(([, before, now]) => before && now)
    .map(([name, before, now]) => [name, seconds(before), seconds(now)])
    .filter(([, was, is]) => was !== is);
  if (rows.length === 0) return undefined;
  const columns = ["step", "first, s", "second, s"].map((heading, at) => ({
    heading,
    number: at > 0,
  }));
  return { title: "Times", table: { columns, rows } };
}

function sides(before: RunRecord, now: RunRecord) {
  return ["", before.id, now.id].map((heading) => ({ heading }));
}

function valueText(value: unknown): string {
  return value === undefined ? "(not there)" : shown(value);
}
