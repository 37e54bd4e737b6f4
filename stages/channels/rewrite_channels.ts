import { type ChannelEdit, tensorEdit } from "./edits.ts";
import { type Projection, roleOf } from "../models/site.ts";
import { type ChannelChanges, lengthenLineage } from "../models/lineage.ts";
import { type ModelRecord, refuseQuantized } from "../models/model_record.ts";
import { type Rewrite, rewriteModel } from "../models/rewrite.ts";

/** How a stage changes the channels of a model. */
export interface ChannelRewrite {
  /** The stage and its parameters, as the record's history has them. */
  readonly stage: string;
  readonly params: unknown;
  readonly record: ModelRecord;
  readonly edits: ReadonlyMap<string, ChannelEdit>;
  /** What the edits do to activations. */
  readonly changes: ChannelChanges;
  readonly signal: AbortSignal;
  progress(done: number, total: number, note: string): void;
}

/** Writes a model with scaled or permuted channels that computes what the one given does. */
export async function rewriteChannels(
  model: { readonly path: string; readonly digest: string },
  out: string,
  { stage, params, record, edits, changes, signal, progress }: ChannelRewrite,
): Promise<void> {
  const lineage = await lengthenLineage({ ...model, record }, out, changes);
  await rewriteModel(model.path, out, {
    signal,
    progress,
    edit: editsOf(edits),
    record: { ...record, history: [...record.history, { stage, params }], lineage },
  });
}

/** The change of each tensor, as models are rewritten. */
export function editsOf(edits: ReadonlyMap<string, ChannelEdit>): Rewrite["edit"] {
  return (name) => {
    const edit = edits.get(name);
    return edit && tensorEdit(edit);
  };
}

/**
 * Throws unless a stage may change the channels of these places: weights and KV cache in full
 * precision, and no transform between a place and what feeds it.
 */
export function refuseChannels(
  record: ModelRecord,
  stage: string,
  places: readonly Projection[],
): void {
  refuseQuantized(record, stage);
  if (record.kv.length > 0) {
    throw new TypeError(
      `Cannot ${stage} the model: its KV cache is quantized already, expected full precision; put ${stage} before it`,
    );
  }
  for (const place of places) {
    if (!record.hadamard.includes(roleOf(place))) continue;
    throw new TypeError(
      `Cannot ${stage} ${place}: its inputs go through a Hadamard transform, expected inputs that the layer before can change; leave ${place} out of sites`,
    );
  }
}
