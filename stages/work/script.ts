import { openModel } from "../models/architecture.ts";
import { type ModelRecord, recordAfter, refuseQuantized } from "../models/model_record.ts";
import { rewriteModel } from "../models/rewrite.ts";
import { openCheckpoint } from "../models/open_checkpoint.ts";
import { scriptDigest } from "../script/digests.ts";
import { runScript } from "../script/run_script.ts";
import type { ModelEdits } from "../script/user_script.ts";
import { rewriteForecast } from "../sizes.ts";
import type { WorkOf } from "../kinds.ts";
import type { ScriptDeclaration } from "../script.ts";

/** See `script`. */
export const scriptWork: WorkOf<ScriptDeclaration> = {
  async forecast({ model }, { file }) {
    refuseQuantized(model.record, "script");
    const digest = await scriptDigest(file);
    const record = voided(recordAfter(model.record, "script", { digest }));
    return rewriteForecast(model, { edit: () => ({ whole: true, change() {} }), record }, {
      measures: false,
    });
  },
  async run(job, { model, stats, tokens }, { file, params }) {
    using files = await openModel(model.path);
    const { record, checkpoint } = files;
    refuseQuantized(record, "script");
    const digest = await scriptDigest(file);
    const inputs = {
      model: model.path,
      ...stats && { stats: stats.path },
      ...tokens && { tokens: tokens.path },
    };
    const asked = { output: "model", inputs, params, digest, open: openCheckpoint } as const;
    const edits = await runScript<ModelEdits>(job, file, asked);
    let changed = 0;
    await rewriteModel(model.path, job.out, {
      edit: (name) => {
        if (!edits.changes(name)) return undefined;
        changed++;
        const { shape } = checkpoint.tensors.get(name)!;
        return { whole: true, change: ({ values }) => edits.change({ name, shape, values }) };
      },
      // What was measured of the model before is void.
      record: voided(recordAfter(record, "script", { digest, ...params })),
      signal: job.signal,
      progress: (done, total, note) => job.progress(done, total, note),
    });
    const level = changed > 0 ? undefined : "warning";
    job.note(`changed ${changed} tensors`, { changed, digest }, level);
  },
};

/** Nobody knows what a script did to channels. */
function voided({ basis: _, ...record }: ModelRecord): ModelRecord {
  return { ...record, lineage: [] };
}
