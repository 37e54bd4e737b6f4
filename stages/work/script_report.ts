import { openCheckpoint } from "../models/open_checkpoint.ts";
import { scriptDigest } from "../script/digests.ts";
import { runScript } from "../script/run_script.ts";
import type { ScriptFigures } from "../script/user_script.ts";
import { releasedPeak } from "../models/peaks.ts";
import type { WorkOf } from "../kinds.ts";
import type { ScriptReportDeclaration } from "../script_report.ts";

/** Most bytes of a report of figures, and what nobody can know that a script keeps in memory. */
const [REPORT_BYTES, WORK_BYTES] = [2 ** 16, 2 ** 28];

/** See `script_report`. */
export const scriptReportWork: WorkOf<ScriptReportDeclaration> = {
  forecast() {
    return {
      deviceBytes: 0,
      hostBytes: releasedPeak(WORK_BYTES),
      diskBytes: REPORT_BYTES,
      facts: { layers: 0, kvLayers: 0, tasks: [] },
    };
  },
  async run(job, { models, stats, tokens, reports }, { file, params }) {
    const inputs = {
      ...models.length > 0 && { models: models.map(({ path }) => path) },
      ...stats && { stats: stats.path },
      ...tokens && { tokens: tokens.path },
      ...reports.length > 0 && { reports: reports.map(({ path }) => path) },
    };
    const digest = await scriptDigest(file);
    const asked = { output: "report", inputs, params, digest, open: openCheckpoint } as const;
    const scores = await runScript<ScriptFigures>(job, file, asked);
    for (const [name, value] of Object.entries(scores)) {
      if (typeof value === "number" && Number.isFinite(value)) continue;
      throw new TypeError(
        `Cannot report "${name}" of script "${file}": it is ${value}, expected a finite number`,
      );
    }
    const report = { script: { digest, params, scores } };
    await Deno.writeTextFile(`${job.out}/report.json`, `${JSON.stringify(report, undefined, 2)}\n`);
    return { scores };
  },
};
