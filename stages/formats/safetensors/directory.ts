import { ByteFile } from "../byte_file.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { namesThere, readOptionalJson, readTexts } from "../foreign_json.ts";
import { readTokenizer, TOKENIZER_SOURCES } from "../tokenizers/read_tokenizer.ts";
import { besideConfig } from "../quantization_file.ts";
import { release } from "../release.ts";
import { findTensor, rowRange, shapeInRows } from "../rows.ts";
import { list } from "./found_files.ts";
import { parseHeader, type TensorEntry } from "./header.ts";
import { widenTensor } from "../widen.ts";
import { checkFileLimit } from "../file_limits.ts";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** Small files that say how a model is used; they travel with it. */
const KEPT = [
  "generation_config.json",
  "chat_template.jinja",
  "chat_template.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "LICENSE",
];

/** The files that make the content of a checkpoint directory, sorted. */
export async function directorySources(directory: string): Promise<string[]> {
  const small = ["config.json", ...TOKENIZER_SOURCES, ...KEPT];
  const { index, shards } = await findShards(directory);
  const names = [
    ...namesThere(directory, small),
    ...await besideConfig(directory, await readOptionalJson(`${directory}/config.json`))
      .then((beside) => beside ? [beside.file] : []),
    ...(index ? [INDEX] : []),
    ...shards.keys(),
  ];
  return names.sort().map((name) => `${directory}/${name}`);
}

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
  const files = await readTexts(directory, KEPT);
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
          `expected ${INDEX} to say which of them is meant`,
      );
    } else copies.push(name);
  }
  return [
    ...added.length > 0 ? [`${INDEX} does not list ${list(added)}, which is read as well`] : [],
    ...copies.length > 0
      ? [`${list(copies)} lies in two files; it is read where ${INDEX} says`]
      : [],
  ];
}

/** The weight files by name, with the tensors the index expects of each. */
async function findShards(
  directory: string,
): Promise<{ readonly index: boolean; readonly shards: Map<string, string[] | undefined> }> {
  if (namesThere(directory, [SINGLE]).length > 0) {
    return { index: false, shards: new Map([[SINGLE, undefined]]) };
  }
  const path = `${directory}/${INDEX}`;
  const index = await readOptionalJson(path);
  if (index === undefined) {
    throw new TypeError(
      `Cannot open checkpoint "${directory}": neither ${SINGLE} nor ${INDEX}, expected one of them` +
        `${await pytorchHint(directory)}`,
    );
  }
  const weights = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof weights !== "object" || weights === null || Object.keys(weights).length === 0) {
    throw new TypeError(`Cannot read "${path}": no weight_map, expected one of tensor to file`);
  }
  const shards = new Map<string, string[]>();
  for (const [name, shard] of Object.entries(weights)) {
    if (typeof shard !== "string" || /[\\/]|^\.\.?$/.test(shard)) {
      throw new TypeError(
        `Cannot read "${path}": tensor "${name}" lies in ${
          JSON.stringify(shard)
        }, expected the name of a file beside the index`,
      );
    }
    const names = shards.get(shard);
    if (names) names.push(name);
    else shards.set(shard, [name]);
  }
  checkFileLimit("shards", shards.size, { path, what: `it names ${shards.size} files` });
  return { index: true, shards };
}

async function pytorchHint(directory: string): Promise<string> {
  for await (const { name } of Deno.readDir(directory)) {
    if (/\.(bin|pth?)$/.test(name)) return ` (convert "${name}" to safetensors first)`;
  }
  return "";
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
        `"${wanted?.[0]}" as ${INDEX} says`,
      { cause },
    );
  }
}
