import {
  type NamedValues,
  openSafetensors,
  writeSafetensors,
} from "../formats/safetensors/file.ts";
import type { BasisTurns, LinearChanges, TurnMatrices } from "./basis.ts";
import { basisTensors, isOfBasis } from "./basis_files.ts";
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

/** What a stage did to a model's channels. */
export interface ChannelStep {
  /** To activations, by tap; undefined where they are mixed, so that nothing measured before is valid. */
  readonly activations: ChannelChanges | undefined;
  /** To linears, by whom and by which turns; left out where only the precision changes. */
  readonly basis?: {
    readonly stage: string;
    readonly linears: LinearChanges;
    readonly turns?: BasisTurns;
    readonly matrices?: TurnMatrices;
  };
}

/** Whose files are in `path`, and what it is. */
interface EarlierModel {
  readonly path: string;
  readonly digest: string;
  readonly record: ModelRecord;
}

/**
 * Writes what a stage did to the channels of a model into a file of the artifact `out`, beside those of
 * earlier stages, and returns how the record goes on.
 */
export async function addChannelStep(
  { path, digest, record }: EarlierModel,
  out: string,
  { activations, basis }: ChannelStep,
): Promise<Pick<ModelRecord, "lineage" | "basis">> {
  const before = { ...record, lineage: activations ? record.lineage : [] };
  const earlier = channelFiles(before);
  for (const file of earlier) {
    await Deno.writeFile(`${out}/${file}`, await Deno.readFile(`${path}/${file}`));
  }
  const numbers = earlier.map((file) => Number(/\d+/.exec(file)![0]));
  const file = `channels-${Math.max(-1, ...numbers) + 1}.safetensors`;
  const tensors = new Map<string, NamedValues>();
  for (const [tap, change] of activations ?? []) {
    for (const [what, values] of Object.entries(change)) {
      tensors.set(`${tap}.${what}`, { shape: [values.length], values });
    }
  }
  const { linears = new Map(), turns = {}, matrices = new Map() } = basis ?? {};
  for (const [name, values] of basisTensors({ linears, turns, matrices })) {
    tensors.set(name, values);
  }
  await writeSafetensors(`${out}/${file}`, tensors);
  return {
    lineage: activations ? [...record.lineage, { from: digest, file }] : [],
    ...basisAfter(record, basis, file),
  };
}

/** How a record's basis goes on behind a stage, whose file may not be written yet. */
export function basisAfter(
  { basis: before = [] }: Pick<ModelRecord, "basis">,
  basis: ChannelStep["basis"],
  file = "channels-0.safetensors",
): Pick<ModelRecord, "basis"> {
  if (!basis) return before.length > 0 ? { basis: before } : {};
  const { stage, turns = {} } = basis;
  return { basis: [...before, { stage, file, turns }] };
}

/** The files of a model that tell what became of its channels. */
export function channelFiles(
  { lineage, basis = [] }: Pick<ModelRecord, "lineage" | "basis">,
): readonly string[] {
  return [...new Set([...basis, ...lineage].map(({ file }) => file))];
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
    if (isOfBasis(name)) continue;
    const [, tap = "", what] = /^(.*)\.(index|scale)$/.exec(name) ?? [];
    changes.set(tap, { ...changes.get(tap), [what!]: await file.read(name) });
  }
  return changes;
}
