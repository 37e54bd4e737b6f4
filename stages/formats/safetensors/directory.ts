import { ByteFile } from "../byte_file.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { readOptionalJson, readTexts } from "../foreign_json.ts";
import { readTokenizer } from "../tokenizers/read_tokenizer.ts";
import { besideConfig } from "../quantization_file.ts";
import { release } from "../../../kernels/device/release.ts";
import { findTensor, rowRange, shapeInRows } from "../rows.ts";
import { list } from "./found_files.ts";
import { parseHeader, type TensorEntry } from "./header.ts";
import { widenTensor } from "../widen.ts";
import { directorySources, findShards, KEPT_FILES, SHARD_INDEX } from "./directory_sources.ts";

/**
 * Opens a directory of safetensors files as Hugging Face lays them out.
 *
 * Reads the headers of all shards; they stay open until the checkpoint is disposed.
 */
export async function openDirectory(directory: string): Promise<Checkpoint> {
  const configPath = `${directory}/config.json`;
  const stated = await readOptionalJson(configPath);
  if (stated === undefined) {
    throw new TypeError(`Cannot open checkpoint "${directory}": no config.json, expected one`);
  }
  if (typeof stated !== "object" || stated === null || Array.isArray(stated)) {
    throw new TypeError(`Cannot read "${configPath}": it is no object, expected one`);
  }
  const beside = await besideConfig(directory, stated);
  const config = beside ? { ...stated, quantization_config: beside.quantization } : stated;
  const tokenizer = await readTokenizer(directory);
  const files = await readTexts(directory, KEPT_FILES);
  const sources = await directorySources(directory);
  const { shards } = await findShards(directory);
  using stack = new DisposableStack();
  const opened = new Map<string, Opened>();
  const others: Opened[] = [];
  for (const [shard, wanted] of shards) {
    const file = stack.use(openShard(directory, shard, wanted));
    const { tensors } = await parseHeader(file);
    for (const name of wanted ?? tensors.keys()) {
      opened.set(name, { file, entry: findTensor(tensors, name, file.path) });
    }
    const listed = new Set(wanted ?? tensors.keys());
    for (const [name, entry] of tensors) if (!listed.has(name)) others.push({ file, entry });
  }
  const notes = addUnlisted(others, opened);
  const tensors = new Map(
    [...opened].map(([name, { file, entry: { dtype, shape } }]) => [
      name,
      { name, dtype, shape: shapeInRows(shape), file: file.path },
    ]),
  );
  const readRaw: Checkpoint["readRaw"] = async (name, rows) => {
    const { file, entry } = findTensor(opened, name, directory);
    const tensor = findTensor(tensors, name, directory);
    const { start, end } = rowRange(tensor, rows);
    const rowBytes = (entry.end - entry.start) / (tensor.shape[0] ?? 1);
    if (start === end) return new Uint8Array(0);
    return await file.read(entry.start + start * rowBytes, entry.start + end * rowBytes);
  };
  const owned = stack.move();
  return {
    path: directory,
    config,
    tokenizer,
    files,
    tensors,
    sources,
    notes,
    readRaw,
    async read(name, rows) {
      const bytes = await readRaw(name, rows);
      const values = widenTensor(bytes, findTensor(tensors, name, directory));
      if (values.buffer !== bytes.buffer) release(bytes);
      return values;
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** A tensor of an opened file. */
interface Opened {
  readonly file: ByteFile;
  readonly entry: TensorEntry;
}

/**
 * Adds what shards hold though the index lists it nowhere, and tells of it; throws where it lies in two
 * of them. A tensor that the index means in one shard is not read from another.
 */
function addUnlisted(others: readonly Opened[], opened: Map<string, Opened>): readonly string[] {
  const added: string[] = [];
  const copies: string[] = [];
  for (const tensor of others) {
    const { name } = tensor.entry;
    const known = opened.get(name);
    if (known === undefined) {
      added.push(name);
      opened.set(name, tensor);
    } else if (added.includes(name)) {
      throw new TypeError(
        `Cannot read tensor "${name}": it lies in "${known.file.path}" and in "${tensor.file.path}", ` +
          `expected ${SHARD_INDEX} to say which of them is meant`,
      );
    } else copies.push(name);
  }
  return [
    ...added.length > 0
      ? [`${SHARD_INDEX} does not list ${list(added)}, which is read as well`]
      : [],
    ...copies.length > 0
      ? [`${list(copies)} lies in two files; it is read where ${SHARD_INDEX} says`]
      : [],
  ];
}

function openShard(
  directory: string,
  shard: string,
  wanted: readonly string[] | undefined,
): ByteFile {
  const path = `${directory}/${shard}`;
  try {
    return ByteFile.open(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new TypeError(
      `Cannot open "${directory}/${shard}": there is no such file, expected it to hold tensor ` +
        `"${wanted?.[0]}" as ${SHARD_INDEX} says`,
      { cause },
    );
  }
}
