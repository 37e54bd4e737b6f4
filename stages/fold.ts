import { z } from "zod";
import { forecastFold } from "./forecast/fold.ts";
import { openCheckpoint } from "./formats/open_checkpoint.ts";
import { defineStage } from "./kinds.ts";
import { findFamily } from "./models/families/find_family.ts";
import { type ChannelChange, lengthenLineage } from "./models/lineage.ts";
import { readModelRecord } from "./models/model_record.ts";
import { NAMES } from "./models/names.ts";
import { foldGains } from "./models/norm_gains.ts";
import { rewriteModel } from "./models/rewrite.ts";
import { refuseChannels } from "./channels/rewrite_channels.ts";

const params = z.strictObject({});

/** The places that norms feed, by the role of their site. */
const PLACES = new Map([["qkv_proj", "attention.in"], ["up_proj", "mlp.in"]] as const);

/** Folds the gains of norms into the linears they feed, without changing what the model computes. */
export const fold = defineStage({
  about: "Folds norm gains into the weights, for engines that load no norms.",
  version: 1,
  params,
  inputs: { model: "model" },
  output: "model",
  example: {},
  forecast: forecastFold,
  async run(job, { model }) {
    const record = await readModelRecord(model.path);
    refuseChannels(record, "fold", PLACES);
    using checkpoint = await openCheckpoint(model.path);
    const family = findFamily(checkpoint.config);
    const { tied } = family.config(checkpoint.config);
    const untied = { ...checkpoint.config as object, tie_word_embeddings: false };
    const sites = family.sites(family.config(untied));
    const { edits, gains } = await foldGains(checkpoint, sites, "fold");
    const changes = new Map<string, ChannelChange>(
      [...gains].map(([site, scale]) => [site, { scale }]),
    );
    const dead = [...gains].find(([, gain]) => gain.includes(0))?.[0];
    // What was measured behind a gain of 0 says nothing of the channel before it.
    const lineage = dead === undefined
      ? await lengthenLineage({ ...model, record }, job.out, changes)
      : [];
    await rewriteModel(model.path, job.out, {
      edit: (name) => edits.get(name),
      ...tied && { added: new Map([[NAMES.head, NAMES.embeddings]]) },
      config: tied ? untied : checkpoint.config,
      record: { ...record, history: [...record.history, { stage: "fold", params: {} }], lineage },
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
});
