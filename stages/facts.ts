import type { StatsSizes } from "./calibration/stats.ts";
import { headerCheckpoint, type StoredTensor, type TokenizerFiles } from "./formats/checkpoint.ts";
import { readHeader, type TensorSpecification } from "./formats/safetensors/header.ts";
import { architectureOf } from "./models/architecture.ts";
import type { ModelFiles } from "./models/family.ts";
import { channelFiles } from "./models/lineage.ts";
import { MODEL_RECORD, type ModelRecord, readModelRecord } from "./models/model_record.ts";
import { openCheckpoint } from "./models/open_checkpoint.ts";
import type { Tokenizer } from "./models/tokenizer.ts";
import type { Evaluation } from "./report/evaluation.ts";

/** Facts of a model: what its headers tell. */
export interface ModelOutline {
  /** `config.json`. */
  readonly config: unknown;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly record: ModelRecord;
  /** Bytes of the files beside weights, record and lineage. */
  readonly textBytes: number;
  /** Bytes of the files of the record's lineage and basis. */
  readonly lineageBytes: number;
  /** What makes its tokenizer, or the place of the checkpoint that has it. */
  readonly tokenizer: TokenizerFiles | string | undefined;
}

/** Facts of tokens. */
export interface TokensOutline {
  readonly count: number;
}

/** Facts of statistics. */
export type StatsOutline = StatsSizes;

/**
 * Facts of a report: how many layers it has errors of, for the plots of those that compare it, and
 * which tasks it has.
 */
export interface ReportOutline {
  readonly layers: number;
  readonly kvLayers: number;
  readonly tasks: readonly string[];
}

/** The form of each kind's facts. */
export type KindFacts = {
  readonly model: ModelOutline;
  readonly tokens: TokensOutline;
  readonly stats: StatsOutline;
  readonly report: ReportOutline;
  readonly export: object;
  readonly deployment: object;
};

/** Reads the facts of an artifact by its kind, from headers alone. */
const READERS: { readonly [K in keyof KindFacts]: (path: string) => Promise<KindFacts[K]> } = {
  model: modelFacts,
  stats: statsFacts,
  tokens: tokensFacts,
  report: reportFacts,
  // Nothing reads an export or a deployment.
  export: () => Promise.resolve({}),
  deployment: () => Promise.resolve({}),
};

/** The facts of an artifact in the store; throws where it is of a kind that has none. */
export async function factsOf(
  { kind, path }: { readonly kind: string; readonly path: string },
): Promise<object> {
  const read = READERS[kind as keyof KindFacts];
  if (read) return await read(path);
  throw new TypeError(
    `Cannot tell facts of "${path}": its kind is ${kind}, expected one of ${
      Object.keys(READERS).join(", ")
    }`,
  );
}

/** Tensors by name, in a file that is not written yet. */
export function plannedTensors(
  specifications: readonly TensorSpecification[],
): ModelOutline["tensors"] {
  return new Map(specifications.map((each) => [each.name, { ...each, file: "none yet" }]));
}

async function modelFacts(path: string): Promise<ModelOutline> {
  const record = await readModelRecord(path);
  const tensors = new Map<string, StoredTensor>();
  const lineage = new Set(channelFiles(record));
  let [textBytes, lineageBytes] = [0, 0];
  let tokenizer: string | undefined;
  for await (const { name } of Deno.readDir(path)) {
    const file = `${path}/${name}`;
    const { size } = await Deno.stat(file);
    if (name === "tokenizer.json") tokenizer = path;
    if (lineage.has(name)) lineageBytes += size;
    else if (name.endsWith(".safetensors")) {
      for (const entry of (await readHeader(file)).tensors.values()) {
        tensors.set(entry.name, { ...entry, file });
      }
    } else if (!/^artifact\.json$|\.index\.json$/.test(name) && name !== MODEL_RECORD) {
      textBytes += size;
    }
  }
  const config = await readJson(`${path}/config.json`);
  return { config, tensors, record, textBytes, lineageBytes, tokenizer };
}

async function statsFacts(path: string): Promise<StatsOutline> {
  const { windows, context, rows, attentionWindows, gram } = await readJson<StatsSizes>(
    `${path}/stats.json`,
  );
  return { windows, context, rows, attentionWindows, gram };
}

async function tokensFacts(path: string): Promise<TokensOutline> {
  const { count } = await readJson<TokensOutline>(`${path}/tokens.json`);
  return { count };
}

/** A comparison has no model of its own. */
async function reportFacts(path: string): Promise<ReportOutline> {
  const { model, tasks } = await readJson<Partial<Evaluation>>(`${path}/report.json`);
  return {
    layers: model?.layers.length ?? 0,
    kvLayers: model?.kvErrors.length ?? 0,
    tasks: tasks?.tasks?.map(({ task }) => task) ?? [],
  };
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** The headers of a model in the place of its files. */
export function headerFiles({ config, tensors, record }: ModelOutline): ModelFiles {
  const checkpoint = headerCheckpoint({ config, tensors });
  return { checkpoint, record, architecture: architectureOf(config) };
}

/** Tokenizers by the model they are of: opening one takes longer than a sample. */
const opened = new WeakMap<ModelOutline, Promise<Tokenizer | undefined>>();

/** The tokenizer of a model, if it has one. */
export async function tokenizerOf(model: ModelOutline): Promise<Tokenizer | undefined> {
  const found = opened.get(model) ?? openFrom(model);
  opened.set(model, found);
  return await found;
}

async function openFrom({ tokenizer }: ModelOutline): Promise<Tokenizer | undefined> {
  const { openTokenizer } = await import("./models/tokenizer.ts");
  if (typeof tokenizer !== "string") return tokenizer && openTokenizer(tokenizer);
  using checkpoint = await openCheckpoint(tokenizer);
  return checkpoint.tokenizer && openTokenizer(checkpoint.tokenizer);
}
