import { basename } from "node:path";
import { runWords } from "../inspect/run.ts";
import { STATE_LOOKS } from "../graph/look.ts";
import { comparisonsPart } from "./comparisons.ts";
import { curvesPart } from "./curves.ts";
import type { RunReport } from "./gather.ts";
import { graphPart } from "./graph.ts";
import type { PagePart } from "./part.ts";
import { pageHtml } from "../html.ts";
import { escapeMarkup } from "../../words.ts";
import { notesPart } from "./notes.ts";
import { provenancePart } from "./provenance.ts";
import { qualityPart } from "./quality.ts";
import { stepsPart } from "./steps.ts";
import { STYLE } from "./style.ts";
import { timePart } from "./time.ts";

/** A browser that keeps this runs no script and asks nobody for anything, whatever a text may hold. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/** The colors of states of a run. */
const RUN_LOOKS = { running: "waiting", ok: "run", failed: "failed", stopped: "stopped" } as const;

/** A run as one HTML page that needs no other file, no script and no network. */
export async function reportPage(report: RunReport): Promise<string> {
  const { run, steps, goesOn } = report;
  const parts: readonly PagePart[] = [
    await qualityPart(steps),
    await graphPart(steps),
    await timePart(steps),
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
