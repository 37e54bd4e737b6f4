import { duration } from "../duration.ts";
import { headerFiles } from "../facts.ts";
import { openModel, untied } from "../models/architecture.ts";
import type { ModelFiles } from "../models/family.ts";
import { addChannelStep, basisAfter, type ChannelChange } from "../models/lineage.ts";
import { recordAfter, refuseChannels } from "../models/model_record.ts";
import { foldGains, gainChanges } from "../models/norm_gains.ts";
import { rewriteModel } from "../models/rewrite.ts";
import { rewriteForecast } from "../sizes.ts";
import type { WorkOf } from "../kinds.ts";
import type { FoldDeclaration } from "../fold.ts";

/** See `fold`. */
export const foldWork: WorkOf<FoldDeclaration> = {
  async forecast({ model }, _params, { rates }) {
    const { gains: _, linears, ...rewrite } = await folding(headerFiles(model));
    const record = {
      ...recordAfter(model.record, "fold", {}),
      ...basisAfter(model.record, { stage: "fold", linears }),
    };
    const forecast = rewriteForecast(model, { ...rewrite, record });
    return { ...forecast, ...duration(rates, [{ written: forecast.diskBytes }]) };
  },
  async run(job, { model }) {
    using files = await openModel(model.path);
    const { record, architecture: { config: { tied } } } = files;
    const { gains, linears, ...rewrite } = await folding(files);
    const changes = new Map<string, ChannelChange>(
      [...gains].map(([site, scale]) => [site, { scale }]),
    );
    const dead = [...gains].find(([, gain]) => gain.includes(0))?.[0];
    // What was measured behind a gain of 0 says nothing of the channel before it.
    const channels = await addChannelStep({ ...model, record }, job.out, {
      activations: dead === undefined ? changes : undefined,
      basis: { stage: "fold", linears },
    });
    await rewriteModel(model.path, job.out, {
      ...rewrite,
      record: { ...recordAfter(record, "fold", {}), ...channels },
      signal: job.signal,
      progress: (done, total, note) => job.progress(done, total, note),
    });
    const folded = [...gains.values()].filter((gain) => gain.some((value) => value !== 1)).length;
    job.note(`folded the gains of ${folded} norms, ${gains.size - folded} had gains of 1`, {
      folded,
      tied,
    });
    if (dead === undefined) return;
    job.note(
      `a gain of 0 before ${dead} hides a channel: statistics taken before are void, put calibrate behind fold`,
      { site: dead },
      "warning",
    );
  },
};

/** How a model changes, and the gains as they were. */
async function folding({ checkpoint, record, architecture }: ModelFiles) {
  const { embeddings, ownHead, layers, sites, json } = untied(architecture);
  const places = layers.flatMap((layer) => layer.sites)
    .filter(({ residual }) => residual === "read").map(({ projection }) => projection);
  refuseChannels(record, "fold", places);
  const { edits, gains } = await foldGains(checkpoint, sites, "fold");
  return {
    gains,
    linears: gainChanges(architecture, gains),
    edit: (name: string) => edits.get(name),
    ...architecture.config.tied && { added: new Map([[ownHead, embeddings]]) },
    config: json,
  };
}
