import type { Describe, Description, Section } from "../../description.ts";
import { goesOn, type RunRecord } from "../../store/runs.ts";
import type { Store } from "../../store/store.ts";
import { formatScores, formatSeconds } from "../../words.ts";
import { fieldFacts, short } from "./key_document.ts";
import { type ScoredSteps, scoredSteps, untoldScores } from "./scored.ts";

/** What a run did, from its record, and what its scored artifacts tell. */
export async function describeRun(
  run: RunRecord,
  { store, describe }: { readonly store: Store; readonly describe: Describe | undefined },
): Promise<Description> {
  const figures = await scoredSteps(run, { store, describe });
  const untold = untoldScores(run, figures);
  const words = runWords(run, { goesOn: await goesOn(store.path, run) });
  const { id, manifest, started, steps, environment, params } = run;
  const columns = [
    { heading: "step" },
    { heading: "stage" },
    { heading: "state" },
    { heading: "seconds", number: true },
    { heading: "artifact" },
    { heading: "reason" },
  ];
  const rows = steps.map(({ name, stage, state, seconds, key, reason, failure }) => [
    name,
    stage,
    state,
    seconds.toFixed(1),
    key === undefined ? "" : short(key),
    // The reason of a failed one is what the plan said.
    failure ?? reason,
  ]);
  const sections: readonly Section[] = [
    {
      title: "Run",
      facts: [
        ["id", id],
        ["manifest", manifest],
        ["started", started],
        ["state", words],
        ...Object.keys(untold).length > 0 ? [["scores", formatScores(untold)] as const] : [],
      ],
    },
    ...scoresSection(figures),
    { title: "Steps", table: { columns, rows } },
    { title: "Params", facts: fieldFacts(params, "") },
    { title: "Environment", facts: Object.entries(environment) },
  ];
  return {
    title: `run of ${manifest}: ${words}`,
    sections: sections.filter(({ facts }) => facts === undefined || facts.length > 0),
    warnings: steps.flatMap(({ name, failure }) => failure ? [`${name}: ${failure}`] : []),
  };
}

/** A row for every scored step, if there are any. */
function scoresSection(figures: ScoredSteps): Section[] {
  if (figures.size === 0) return [];
  // A step with more figures tells better in what order they stand.
  const fullest = [...figures.values()].toSorted((a, b) => b.length - a.length);
  const names = [...new Set(fullest.flatMap((some) => some.map(({ name }) => name)))];
  const rows = [...figures].map(([step, some]) => [
    step,
    ...names.map((name) => some.find((one) => one.name === name)?.text ?? ""),
  ]);
  const columns = [
    { heading: "step" },
    ...names.map((heading) => ({ heading, number: true })),
  ];
  return [{ title: "Scores", table: { columns, rows } }];
}

/** How a run stands, in words; `goesOn` says whether it has a process. */
export function runWords(
  { state, seconds, steps }: Pick<RunRecord, "state" | "seconds" | "steps">,
  { goesOn }: { readonly goesOn: boolean },
): string {
  if (state === "running") {
    const over = steps.filter(({ state }) => state !== "waiting" && state !== "skipped").length;
    return `${goesOn ? "at work" : "killed"} after ${over} of ${steps.length} steps`;
  }
  const words = { ok: "all went well", failed: "failed", stopped: "stopped" };
  return `${words[state]} in ${formatSeconds(seconds)}`;
}
