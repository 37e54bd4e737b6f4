import {
  type NamedValues,
  openSafetensors,
  writeSafetensors,
} from "../formats/safetensors/file.ts";
import type { ModelRecord } from "./model_record.ts";

/**
 * How the channels of one activation changed from a model to the next, by its tap (the name of a
 * site, or of queries, keys or values): first permuted, new[j] = old[index[j]], then divided,
 * new[j] / scale[j].
 */
export interface ChannelChange {
  readonly index?: Uint32Array<ArrayBuffer>;
  readonly scale?: Float32Array<ArrayBuffer>;
}

/** Channel changes by tap. */
export type ChannelChanges = ReadonlyMap<string, ChannelChange>;

/**
 * Lengthens a model's lineage by one step into the artifact `out`: copies the earlier files, writes
 * this step's changes (none where only the precision changes), and returns the new lineage.
 */
export async function lengthenLineage(
  from: {
    readonly path: string;
    readonly digest: string;
    readonly record: Pick<ModelRecord, "lineage">;
  },
  out: string,
  changes: ChannelChanges,
): Promise<ModelRecord["lineage"]> {
  const { lineage } = from.record;
  await copyLineage(from, out);
  const file = `channels-${lineage.length}.safetensors`;
  const tensors = new Map<string, NamedValues>();
  for (const [tap, change] of changes) {
    for (const [what, values] of Object.entries(change)) {
      tensors.set(`${tap}.${what}`, { shape: [values.length], values });
    }
  }
  await writeSafetensors(`${out}/${file}`, tensors);
  return [...lineage, { from: from.digest, file }];
}

async function copyLineage(
  { path, record }: { readonly path: string; readonly record: Pick<ModelRecord, "lineage"> },
  out: string,
): Promise<void> {
  for (const { file } of record.lineage) {
    await Deno.writeFile(`${out}/${file}`, await Deno.readFile(`${path}/${file}`));
  }
}

/**
 * The changes that lead from the earlier model `from` to the model in `path`, the first one first;
 * undefined where that model is no earlier form of this one.
 */
export async function changesSince(
  from: string,
  { path, digest, record }: {
    readonly path: string;
    readonly digest: string;
    readonly record: Pick<ModelRecord, "lineage">;
  },
): Promise<readonly ChannelChanges[] | undefined> {
  if (from === digest) return [];
  const start = record.lineage.findIndex((step) => step.from === from);
  if (start < 0) return undefined;
  return await Promise.all(
    record.lineage.slice(start).map(({ file }) => readChanges(`${path}/${file}`)),
  );
}

async function readChanges(path: string): Promise<ChannelChanges> {
  using file = await openSafetensors(path);
  const changes = new Map<string, ChannelChange>();
  for (const name of file.tensors.keys()) {
    const [, tap = "", what] = /^(.*)\.(index|scale)$/.exec(name) ?? [];
    changes.set(tap, { ...changes.get(tap), [what!]: await file.read(name) });
  }
  return changes;
}
