import { checkFileLimit } from "../file_limits.ts";
import { namesThere, readOptionalJson } from "../foreign_json.ts";
import { besideConfig } from "../quantization_file.ts";
import { TOKENIZER_SOURCES } from "../tokenizers/source_files.ts";

const SINGLE = "model.safetensors";
/** Which shard holds which tensor. */
export const SHARD_INDEX = "model.safetensors.index.json";

/** Small files that say how a model is used; they travel with it. */
export const KEPT_FILES = [
  "generation_config.json",
  "chat_template.jinja",
  "chat_template.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "LICENSE",
];

/** The files that make the content of a checkpoint directory, sorted. */
export async function directorySources(directory: string): Promise<string[]> {
  const small = ["config.json", ...TOKENIZER_SOURCES, ...KEPT_FILES];
  const { index, shards } = await findShards(directory);
  const names = [
    ...namesThere(directory, small),
    ...await besideConfig(directory, await readOptionalJson(`${directory}/config.json`))
      .then((beside) => beside ? [beside.file] : []),
    ...(index ? [SHARD_INDEX] : []),
    ...shards.keys(),
  ];
  return names.sort().map((name) => `${directory}/${name}`);
}

/** The weight files by name, with the tensors the index expects of each. */
export async function findShards(
  directory: string,
): Promise<{ readonly index: boolean; readonly shards: Map<string, string[] | undefined> }> {
  if (namesThere(directory, [SINGLE]).length > 0) {
    return { index: false, shards: new Map([[SINGLE, undefined]]) };
  }
  const path = `${directory}/${SHARD_INDEX}`;
  const index = await readOptionalJson(path);
  if (index === undefined) {
    throw new TypeError(
      `Cannot open checkpoint "${directory}": neither ${SINGLE} nor ${SHARD_INDEX}, expected one of them` +
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
