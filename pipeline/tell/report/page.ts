import { basename } from "node:path";
import { runWords } from "../inspect/run.ts";
import { looksOf, STATE_LOOKS } from "../graph/look.ts";
import { curvesPart } from "./curves.ts";
import { madeSeconds, type PagePart, type RunReport, type StepReport } from "./gather.ts";
import { pageHtml, sectionHtml, wide } from "../html.ts";
import { escapeMarkup } from "../../words.ts";
import { gridsPart } from "./grids.ts";
import { histogramsPart } from "./histograms.ts";
import { provenancePart } from "./provenance.ts";
import { qualityPart } from "./quality.ts";
import { stepsPart } from "./steps.ts";
import { STYLE } from "./style.ts";
import { timePart } from "./time.ts";
import { graphOf } from "../graph.ts";
import { graphSvg } from "../graph/svg.ts";

/** A browser that keeps this runs no script and asks nobody for anything, whatever a text may hold. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/** The colors of states of a run. */
const RUN_LOOKS = { running: "waiting", ok: "run", failed: "failed", stopped: "stopped" } as const;

/** A run as one HTML page that needs no other file, no script and no network. */
export async function reportPage(report: RunReport): Promise<string> {
  const { run, steps, goesOn } = report;
  const parts: readonly PagePart[] = [
    headlinesPart(steps),
    await qualityPart(steps),
    await graphPart(steps),
    await timePart(steps),
    await gridsPart(steps),
    await histogramsPart(steps),
    await curvesPart(steps),
    comparisonsPart(steps),
    notesPart(steps),
    await stepsPart(steps),
    provenancePart(report),
  ].filter((part) => part !== undefined);
  const name = basename(run.manifest);
  const words = runWords(run, { goesOn });
  const failures = steps.flatMap(({ name, failure }) => failure ? [{ name, failure }] : []);
  const body = `<header>
<h1>${escapeMarkup(name)}</h1>
<p class="lead"><span class="state ${STATE_LOOKS[RUN_LOOKS[run.state]].name}">${
    escapeMarkup(words)
  }</span></p>
<p class="quiet">Run <code>${escapeMarkup(run.id)}</code>, started <time datetime="${
    escapeMarkup(run.started)
  }">${escapeMarkup(whenWords(run.started))}</time></p>
${
    failures.map(({ name, failure }) =>
      `<p class="failure"><strong>${escapeMarkup(name)}:</strong> ${escapeMarkup(failure)}</p>`
    ).join("\n")
  }
<nav aria-label="Contents"><ul>${
    parts.map(({ id, title }) => `<li><a href="#${id}">${escapeMarkup(title)}</a></li>`).join("")
  }</ul></nav>
</header>
<main>
${
    parts.map(({ id, title, html }) =>
      `<section aria-labelledby="${id}">\n<h2 id="${id}">${
        escapeMarkup(title)
      }</h2>\n${html}\n</section>`
    ).join("\n")
  }
</main>`;
  return pageHtml({
    title: `${name}: ${words}`,
    style: STYLE,
    head: [`<meta http-equiv="Content-Security-Policy" content="${POLICY}">`],
    body,
  });
}

/** A time to the minute; reports are read elsewhere than they are made, so the zone is said. */
function whenWords(iso: string): string {
  return `${iso.slice(0, 16).replace("T", " ")} UTC`;
}

/** The gist of what came out of the steps that no other one reads. */
export function headlinesPart(steps: readonly StepReport[]): PagePart | undefined {
  const read = new Set(steps.flatMap(({ inputs = {} }) => Object.values(inputs).flat()));
  const parts = steps.flatMap(({ name, description }) => {
    const { headline } = description ?? {};
    if (!headline || read.has(name)) return [];
    const { notes = [], title, ...rest } = headline;
    // The sentence before the figures that it is made of.
    const section = {
      ...rest,
      title: `In short: ${title}`,
      lines: [...notes, ...rest.lines ?? []],
    };
    return [`<h3>${escapeMarkup(title)}</h3>\n${sectionHtml(section)}`];
  });
  if (parts.length === 0) return undefined;
  return { id: "headline", title: "In short", html: parts.join("\n") };
}

/** What steps drew by themselves, with the tables that belong to it; undefined if there is nothing. */
export function comparisonsPart(steps: readonly StepReport[]): PagePart | undefined {
  const parts = steps.flatMap(({ name, description }) =>
    (description?.sections ?? [])
      .filter(({ pictures = [] }) => pictures.length > 0)
      .map((section) =>
        `<h3>${escapeMarkup(`${section.title} (${name})`)}</h3>\n${sectionHtml(section)}`
      )
  );
  if (parts.length === 0) return undefined;
  return { id: "comparisons", title: "Comparisons", html: parts.join("\n") };
}

/** What steps said while their artifacts were made, and what is wrong with them now. */
export function notesPart(steps: readonly StepReport[]): PagePart | undefined {
  const blocks = steps.flatMap((step) => {
    const { name, failure, trouble, description, stored } = step;
    const bad = [
      ...failure ? [failure] : [],
      ...trouble ? [`Its artifact cannot be shown: ${trouble}`] : [],
      ...description?.warnings ?? [],
    ].map((text) => `<li class="warning"><strong>Warning:</strong> ${escapeMarkup(text)}</li>`);
    const notes = (stored?.record.notes ?? []).map(({ text }) => `<li>${escapeMarkup(text)}</li>`);
    const lines = [...bad, ...notes];
    if (lines.length === 0) return [];
    return [
      `<div class="notes"><h3>${escapeMarkup(name)}</h3>\n<ul>\n${lines.join("\n")}\n</ul></div>`,
    ];
  });
  if (blocks.length === 0) return undefined;
  return { id: "notes", title: "Notes and warnings", html: blocks.join("\n") };
}

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
