import type { Checkpoint } from "../checkpoint.ts";
import { namesThere, readOptionalJson, readTexts } from "../foreign_json.ts";
import { readTokenizer } from "../tokenizers/read_tokenizer.ts";
import { TOKENIZER_SOURCES } from "../tokenizers/source_files.ts";
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
export function torchSources(
  { weights, texts }: { readonly weights: string; readonly texts: string },
): string[] {
  const small = ["config.json", ...TOKENIZER_SOURCES, ...KEPT];
  const there = namesThere(texts, small);
  return [...there.map((name) => `${texts}/${name}`), weights].sort();
}

/**
 * Opens a state dict that torch saved as the weights of a checkpoint.
 *
 * `texts` is the directory with `config.json` and the tokenizer, as Hugging Face lays them out.
 */
export async function openTorchCheckpoint(
  { weights, texts }: { readonly weights: string; readonly texts: string },
): Promise<Checkpoint & { readonly state: TorchFile }> {
  const config = await readOptionalJson(`${texts}/config.json`);
  if (config === undefined) {
    throw new TypeError(
      `Cannot open checkpoint "${weights}": no config.json in "${texts}", expected that of the model beside the weights; copy it and tokenizer.json there from the model they were made of`,
    );
  }
  const tokenizer = await readTokenizer(texts);
  const files = await readTexts(texts, KEPT);
  const sources = torchSources({ weights, texts });
  const state = await openTorchFile(weights);
  return {
    path: weights,
    state,
    config,
    tokenizer,
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
