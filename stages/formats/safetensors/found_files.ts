import { basename } from "node:path";
import { FILE_LIMITS } from "../file_limits.ts";
import { readOptionalJson } from "../foreign_json.ts";
import { readHeader, type SafetensorsDType, type SafetensorsHeader } from "./header.ts";

/** A tensor as a file really holds it. */
export interface FoundTensor {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Path of its file, and its bytes there. */
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

/** What lies in a checkpoint directory, whole or not. */
export interface FoundFiles {
  readonly tensors: ReadonlyMap<string, FoundTensor>;
  /** What contradicts the index or cannot be read, a sentence each. */
  readonly problems: readonly string[];
  /** Names of the weight files. */
  readonly shards: readonly string[];
}

const INDEX = "model.safetensors.index.json";
/** Files of ours that hold no weights of the model. */
const CHANNELS = /^channels-\d+\.safetensors$/;

/**
 * Reads the headers of all safetensors files of a directory, and compares them with its index.
 *
 * Nothing is thrown for what is wrong: opening a checkpoint is for those that are whole.
 */
export async function findFiles(directory: string): Promise<FoundFiles> {
  const names = (await Array.fromAsync(Deno.readDir(directory), ({ name }) => name)).sort();
  const shards = names.filter((name) => name.endsWith(".safetensors") && !CHANNELS.test(name));
  const tensors = new Map<string, FoundTensor>();
  const problems: string[] = [];
  if (shards.length > FILE_LIMITS.shards) {
    const text = `There are ${shards.length} weight files, expected at most ${FILE_LIMITS.shards}`;
    return { tensors, problems: [text], shards };
  }
  for (const shard of shards) {
    const header = await readHeader(`${directory}/${shard}`).catch((error: Error) => error);
    if (header instanceof Error) problems.push(header.message);
    else addTensors(header, { tensors, problems });
  }
  problems.push(...await indexProblems(directory, { names, shards, tensors }));
  return { tensors, problems, shards };
}

function addTensors(
  { path, tensors }: SafetensorsHeader,
  into: { readonly tensors: Map<string, FoundTensor>; readonly problems: string[] },
): void {
  for (const [name, entry] of tensors) {
    const other = into.tensors.get(name);
    if (other) into.problems.push(`"${name}" lies in ${other.file} and in ${path}`);
    else into.tensors.set(name, { ...entry, file: path });
  }
}

/** What an index says that the files do not hold. */
async function indexProblems(
  directory: string,
  { names, shards, tensors }: {
    readonly names: readonly string[];
    readonly shards: readonly string[];
    readonly tensors: ReadonlyMap<string, FoundTensor>;
  },
): Promise<string[]> {
  const torch = names.filter((name) => /\.(bin|pth?)$/.test(name));
  if (shards.length === 0 && torch.length > 0) {
    return [`Its weights are in ${torch[0]}, which only PyTorch reads; convert it to safetensors`];
  }
  if (!names.includes(INDEX)) {
    if (shards.length === 0) return ["There are no weights: no safetensors file"];
    if (shards.includes("model.safetensors")) return [];
    return [`There is neither model.safetensors nor ${INDEX}, so that nothing loads ${shards[0]}`];
  }
  const index = await readIndex(`${directory}/${INDEX}`);
  if (typeof index === "string") return [index];
  const problems: string[] = [];
  const byShard = Map.groupBy(Object.entries(index.weights), ([, shard]) => shard);
  for (const [shard, entries] of byShard) {
    if (!shards.includes(shard)) {
      problems.push(`${shard} is missing; ${INDEX} says it holds ${entries.length} tensors`);
      continue;
    }
    const astray = entries.filter(([name]) => basename(tensors.get(name)?.file ?? "") !== shard);
    if (astray[0]) {
      problems.push(
        `${shard} does not hold ${list(astray.map(([name]) => name))}, though ${INDEX} says so`,
      );
    }
  }
  const unlisted = [...tensors.keys()].filter((name) => !Object.hasOwn(index.weights, name));
  if (unlisted.length > 0) problems.push(`${INDEX} does not list ${list(unlisted)}`);
  const bytes = [...tensors.values()].reduce((sum, { start, end }) => sum + end - start, 0);
  if (index.bytes !== undefined && index.bytes !== bytes && problems.length === 0) {
    problems.push(`${INDEX} says ${index.bytes} bytes of tensors, the files hold ${bytes}`);
  }
  return problems;
}

/** What an index says, as far as we look at it. */
interface Index {
  readonly weight_map: Record<string, string>;
  readonly metadata: { readonly total_size?: unknown } | null;
}

async function readIndex(
  path: string,
): Promise<string | { readonly weights: Record<string, string>; readonly bytes?: number }> {
  try {
    const index = await readOptionalJson(path) as Partial<Index> | null | undefined;
    const { weight_map: weights, metadata } = index ?? {};
    if (typeof weights !== "object" || weights === null) return `${INDEX} has no weight_map`;
    const bytes = metadata?.total_size;
    return { weights, ...typeof bytes === "number" && { bytes } };
  } catch (error) {
    return `${INDEX} cannot be read: ${(error as Error).message}`;
  }
}

/** Some names, the first ones in full. */
export function list(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => `"${name}"`).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
