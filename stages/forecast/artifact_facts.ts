import type { StatsRecord } from "../calibration/stats.ts";
import type { StoredTensor } from "../formats/checkpoint.ts";
import { readHeader } from "../formats/safetensors/header.ts";
import type { Kind } from "../kinds.ts";
import { MODEL_RECORD, readModelRecord } from "../models/model_record.ts";
import type { Evaluation } from "../report/evaluation.ts";
import type { ModelOutline, ReportOutline, StatsOutline, TokensOutline } from "./outlines.ts";

/** Reads the facts of an artifact by its kind, from headers alone. */
const READERS: Readonly<Record<Kind, (path: string) => Promise<object>>> = {
  model: modelOutline,
  stats: statsOutline,
  tokens: tokensOutline,
  report: reportOutline,
  // Nothing reads an export.
  export: () => Promise.resolve({}),
};

/** The facts of an artifact in the store; throws where it is of a kind that has none. */
export async function factsOf(
  { kind, path }: { readonly kind: string; readonly path: string },
): Promise<object> {
  const read = READERS[kind as Kind];
  if (read) return await read(path);
  throw new TypeError(
    `Cannot tell facts of "${path}": its kind is ${kind}, expected one of ${
      Object.keys(READERS).join(", ")
    }`,
  );
}

async function modelOutline(path: string): Promise<ModelOutline> {
  const record = await readModelRecord(path);
  const tensors = new Map<string, StoredTensor>();
  const lineage = new Set(record.lineage.map(({ file }) => file));
  let textBytes = 0;
  let tokenizer: string | undefined;
  const sizes = new Map<string, number>();
  for await (const { name } of Deno.readDir(path)) {
    const file = `${path}/${name}`;
    const { size } = await Deno.stat(file);
    if (name === "tokenizer.json") tokenizer = path;
    if (lineage.has(name)) sizes.set(name, size);
    else if (name.endsWith(".safetensors")) {
      for (const entry of (await readHeader(file)).tensors.values()) {
        tensors.set(entry.name, { ...entry, file });
      }
    } else if (!/^artifact\.json$|\.index\.json$/.test(name) && name !== MODEL_RECORD) {
      textBytes += size;
    }
  }
  const lineageBytes = record.lineage.map(({ file }) => sizes.get(file) ?? 0);
  const config = await readJson(`${path}/config.json`);
  return { config, tensors, record, textBytes, lineageBytes, tokenizer };
}

async function statsOutline(path: string): Promise<StatsOutline> {
  const { windows, context, rows, attentionWindows, gram } = await readJson<StatsRecord>(
    `${path}/stats.json`,
  );
  return { windows, context, rows, attentionWindows, gram };
}

async function tokensOutline(path: string): Promise<TokensOutline> {
  const { count } = await readJson<TokensOutline>(`${path}/tokens.json`);
  return { count };
}

/** A comparison has no model of its own. */
async function reportOutline(path: string): Promise<ReportOutline> {
  const { model } = await readJson<Partial<Evaluation>>(`${path}/report.json`);
  return { layers: model?.layers.length ?? 0, kvLayers: model?.kvErrors.length ?? 0 };
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(path));
}
