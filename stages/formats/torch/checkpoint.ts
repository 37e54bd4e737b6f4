import type { Checkpoint } from "../checkpoint.ts";
import { openTorchFile, type TorchFile } from "./file.ts";
import { WIDEN, widenTensor } from "../widen.ts";

/** Small files that say how a model is used; they travel with it. */
const KEPT = ["generation_config.json", "chat_template.jinja", "special_tokens_map.json"];

const READ = {
  ...WIDEN,
  F64: ({ buffer, byteOffset, byteLength }: Uint8Array) =>
    new Float32Array(new Float64Array(buffer.slice(byteOffset, byteOffset + byteLength))),
};

/** The files that make the content of a checkpoint whose weights are a torch file. */
export async function torchSources(
  { weights, texts }: { readonly weights: string; readonly texts: string },
): Promise<string[]> {
  const small = ["config.json", "tokenizer.json", "tokenizer_config.json", ...KEPT]
    .map((name) => `${texts}/${name}`);
  const present = await Promise.all(small.map((path) => textOf(path)));
  return [...small.filter((_, i) => present[i] !== undefined), weights].sort();
}

/**
 * Opens a state dict that torch saved as the weights of a checkpoint.
 *
 * `texts` is the directory with `config.json` and the tokenizer, as Hugging Face lays them out.
 */
export async function openTorchCheckpoint(
  { weights, texts }: { readonly weights: string; readonly texts: string },
): Promise<Checkpoint & { readonly state: TorchFile }> {
  const config = await jsonOf(`${texts}/config.json`);
  if (config === undefined) {
    throw new TypeError(
      `Cannot open checkpoint "${weights}": no config.json in "${texts}", expected that of the model beside the weights; copy it and tokenizer.json there from the model they were made of`,
    );
  }
  const tokenizer = await jsonOf(`${texts}/tokenizer.json`);
  const tokenizerConfig = await jsonOf(`${texts}/tokenizer_config.json`);
  const files = new Map<string, string>();
  for (const name of KEPT) {
    const text = await textOf(`${texts}/${name}`);
    if (text !== undefined) files.set(name, text);
  }
  const sources = await torchSources({ weights, texts });
  const state = await openTorchFile(weights);
  return {
    path: weights,
    state,
    config,
    tokenizer: tokenizer === undefined ? undefined : { tokenizer, config: tokenizerConfig ?? {} },
    files,
    tensors: state.tensors,
    sources,
    readRaw: state.readRaw,
    async read(name, rows) {
      const bytes = await state.readRaw(name, rows);
      return widenTensor(bytes, { ...state.tensors.get(name)!, name, file: weights }, READ);
    },
    [Symbol.dispose]: () => state[Symbol.dispose](),
  };
}

async function jsonOf(path: string): Promise<unknown> {
  const text = await textOf(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`Cannot read "${path}": ${(cause as Error).message}, expected JSON`, {
      cause,
    });
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
