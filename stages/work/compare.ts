import type { Plot } from "../../pipeline/description.ts";
import {
  documentPage,
  drawPlots,
  markdownText,
  NARROW_PLOT,
} from "../../pipeline/tell/document.ts";
import {
  comparisonHeadline,
  comparisonPassage,
  comparisonPlots,
  differencesPassage,
  llamaCppPassage,
  rowWords,
} from "../describe/comparison.ts";
import { tasksPassage } from "../describe/tasks.ts";
import { duration } from "../duration.ts";
import { hostPeak } from "../models/peaks.ts";
import { readEvaluation } from "../report/evaluation.ts";
import { compareEvaluations } from "../report/rows.ts";
import type { WorkOf } from "../kinds.ts";
import type { CompareDeclaration } from "../compare.ts";

/** What drawing takes: the library and a picture as text. */
const DRAWING_BYTES = 2 ** 24;
/** Bytes of two pictures without any model, and for each model and each layer's error. */
const EMPTY_PLOTS_BYTES = 14_000;
const ROW_BYTES = 2_000;
const POINT_BYTES = 400;
/** Bytes of what is told of a task of a model, in all files. */
const TASK_BYTES = 4_000;

/** See `compare`. */
export const compareWork: WorkOf<CompareDeclaration> = {
  forecast({ reports }, { plot }, { rates }) {
    const points = reports.reduce((sum, { layers, kvLayers }) => sum + layers + kvLayers, 0);
    const plots = plot ? EMPTY_PLOTS_BYTES + ROW_BYTES * reports.length + POINT_BYTES * points : 0;
    // Once as they are and in both widths in the page that holds them, beside a table.
    const tasks = reports.reduce((sum, { tasks }) => sum + tasks.length, 0);
    const diskBytes = 3 * plots + ROW_BYTES * 1.5 * (1 + reports.length) + 60 * points +
      TASK_BYTES * tasks;
    return {
      ...duration(rates, [{ written: diskBytes }]),
      deviceBytes: 0,
      hostBytes: hostPeak(diskBytes) + (plot ? DRAWING_BYTES : 0),
      diskBytes,
      facts: { layers: 0, kvLayers: 0, tasks: [] },
    };
  },
  async run(job, { reports }, { title, labels, plot }) {
    const evaluations = await Promise.all(reports.map(({ path }) => readEvaluation(path)));
    const comparison = compareEvaluations(evaluations, { title, labels });
    const { rows } = comparison;
    const passages = [
      comparisonPassage(comparison),
      differencesPassage(comparison),
      llamaCppPassage(comparison),
      tasksPassage(rows),
    ].filter((passage) => passage !== undefined);
    const write = (name: string, text: string) => Deno.writeTextFile(`${job.out}/${name}`, text);
    await write("report.json", `${JSON.stringify(comparison, undefined, 2)}\n`);
    const { notes: lead = [] } = comparisonHeadline(comparison);
    await write("report.md", markdownText(passages, lead));
    if (plot) {
      const plots = comparisonPlots(rows);
      const drawings = await drawPlots(plots);
      const narrow = await drawPlots(narrowed(plots), { width: NARROW_PLOT });
      for (const { name, svg } of drawings) await write(`${name}.svg`, svg);
      await write("report.html", documentPage(passages, { lead, drawings, narrow }));
    }
    // The run ends with them in a table.
    for (const row of rows) job.note(rowWords(row), { ...row }, "detail");
    job.note(`table in ${plot ? "report.html and " : ""}report.md`);
  },
};

/** The same under names of their own, for names of parts of drawings in one page must differ. */
function narrowed(plots: readonly Plot[]): readonly Plot[] {
  return plots.map((plot) => ({ ...plot, name: `${plot.name}-narrow` }));
}
