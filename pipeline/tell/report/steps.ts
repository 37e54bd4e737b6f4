import type { Section } from "../../description.ts";
import { documentSection, inputsSection } from "../inspect/key_document.ts";
import { STATE_LOOKS } from "../graph/look.ts";
import { escapeMarkup, formatScores, formatSeconds } from "../../words.ts";
import { chartHtml, ownCharts } from "./curves.ts";
import { madeOn, madeSeconds, type PagePart, type StepReport } from "./gather.ts";
import { sectionHtml } from "../html.ts";

/** Everything of every step, to open: its key document, its inputs, what its artifact holds. */
export async function stepsPart(steps: readonly StepReport[]): Promise<PagePart> {
  const blocks: string[] = [];
  for (const [index, step] of steps.entries()) blocks.push(await stepHtml(step, { index, steps }));
  return { id: "steps", title: "Every step", html: blocks.join("\n") };
}

async function stepHtml(
  step: StepReport,
  { index, steps }: { readonly index: number; readonly steps: readonly StepReport[] },
): Promise<string> {
  const { name, stage, state, reason, recipe, key, digest, stored, description } = step;
  const made = madeSeconds(step);
  const machine = madeOn(step);
  const scores = stored?.artifact.scores ?? {};
  const facts: readonly (readonly [string, string])[] = [
    ["state", `${state}: ${step.failure ?? reason}`],
    ...description?.title ? [["holds", description.title] as const] : [],
    ["in this run", formatSeconds(step.seconds)],
    ...made === undefined ? [] : [["when it was made", formatSeconds(made)] as const],
    ...machine === undefined ? [] : [["made on", machine] as const],
    ...Object.keys(scores).length > 0 ? [["scores", formatScores(scores)] as const] : [],
    ...key ? [["key", key] as const] : [],
    ...digest ? [["digest", digest] as const] : [],
    ...stored ? [["path", stored.artifact.path], ["created", stored.record.created]] as const : [],
  ];
  const sections: readonly Section[] = [
    { title: "This step", facts },
    ...recipe ? [documentSection(recipe), ...inputsSection(recipe, makersAmong(steps))] : [],
    // Pictures and histograms have parts of the page of their own.
    ...(description?.sections ?? []).filter(({ pictures = [], charts = [] }) =>
      pictures.length === 0 && charts.every(({ form }) => form !== "bars")
    ),
  ];
  const blocks = sections.flatMap((section) => {
    const html = sectionHtml(section);
    return html === "" ? [] : [`<h4>${escapeMarkup(section.title)}</h4>\n${html}`];
  });
  for (const [at, chart] of ownCharts(step).entries()) {
    const drawn = await chartHtml(chart, `step-${index}-${at}`);
    blocks.push(`<h4>${escapeMarkup(chart.title)}</h4>\n${drawn}`);
  }
  return `<details class="step">
<summary><h3>${escapeMarkup(name)}</h3> <span>${escapeMarkup(stage)}, ${
    formatSeconds(step.seconds)
  }</span> <span class="state ${STATE_LOOKS[state].name}">${escapeMarkup(state)}</span></summary>
${blocks.join("\n")}
</details>`;
}

/** Who made what, among the steps of one run. */
function makersAmong(steps: readonly StepReport[]): Parameters<typeof inputsSection>[1] {
  return {
    of: (digest) =>
      steps.flatMap(({ name, stage, key, stored, ...step }) =>
        step.digest === digest && key !== undefined
          ? [{ key, kind: stored?.artifact.kind ?? "", stage, steps: [name] }]
          : []
      ),
    steps: (key) => steps.filter((step) => step.key === key).map(({ name }) => name),
  };
}
