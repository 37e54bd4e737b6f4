import { graphOf } from "../graph.ts";
import { looksOf } from "../graph/look.ts";
import { graphSvg } from "../graph/svg.ts";
import { madeSeconds, type StepReport } from "./gather.ts";
import { wide } from "../html.ts";
import type { PagePart } from "./part.ts";

/** The steps as a drawing, with what each took in this run, or when it was made. */
export async function graphPart(steps: readonly StepReport[]): Promise<PagePart> {
  const graph = graphOf(steps.map((step) => {
    const { name, stage, state, reason, inputs } = step;
    const seconds = state === "hit" ? madeSeconds(step) : step.seconds || undefined;
    return { name, stage, state, reason, inputs, ...seconds !== undefined && { seconds } };
  }));
  const words: Readonly<Record<string, string>> = {
    hit: "reused, with the time it took when it was made",
    run: "made in this run",
    failed: "failed",
    blocked: "needs a step that failed",
    stopped: "interrupted or not begun",
    skipped: "not selected",
    waiting: "not reached yet",
  };
  const legend = looksOf(graph.nodes).map(({ name }) =>
    `<li><span class="state ${name}">${name}</span> ${words[name] ?? ""}</li>`
  );
  const html = [
    wide(await graphSvg(graph), "Graph of the steps"),
    `<ul class="legend">${legend.join("")}</ul>`,
  ].join("\n");
  return { id: "graph", title: "Graph", html };
}
