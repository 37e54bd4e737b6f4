import type { Description, Section } from "../../description.ts";
import { goesOn, type RunRecord } from "../../store/runs.ts";
import type { Store } from "../../store/store.ts";
import { formatScores, formatSeconds } from "../../words.ts";
import { fieldFacts, short } from "./key_document.ts";

/** What a run did, from its record. */
export async function describeRun(run: RunRecord, store: Store): Promise<Description> {
  const words = runWords(run, { goesOn: await goesOn(store.path, run) });
  const { id, manifest, started, steps, scores, environment, params } = run;
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
        ...Object.keys(scores).length > 0 ? [["scores", formatScores(scores)] as const] : [],
      ],
    },
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
