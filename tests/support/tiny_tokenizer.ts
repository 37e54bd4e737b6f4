import { architectureOf } from "../../stages/models/architecture.ts";
import { CONFIG, writeModel } from "./tiny_checkpoint.ts";

/** The special tokens of the small tokenizer, by id. */
export const ADDED: readonly string[] = [
  "<|endoftext|>",
  "<|im_start|>",
  "<|im_end|>",
  "<stop>",
  "<halt>",
  "<over>",
];

/**
 * Writes the small decoder with a tokenizer of its 24 ids: six special tokens and the letters to r.
 * Its files say that answers end at `ends`, of which the tokenizer names the first.
 */
export async function writeTokenized(
  directory: string,
  { ends, template }: {
    readonly ends: readonly number[];
    /** How conversations are laid out (Jinja). */
    readonly template?: string;
  },
): Promise<void> {
  const [last = 0] = ends;
  // Heads that fit into the pages of a server's KV cache.
  const config = { ...CONFIG, head_dim: 16, eos_token_id: last };
  const { tensors } = architectureOf(config);
  await writeModel(directory, {
    config,
    edit: (kinds) =>
      tensors.forEach((shape, name) => void kinds.set(name, { dtype: "F16", shape })),
  });
  const flags = {
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  };
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const letters = [..."abcdefghijklmnopqr"];
  const files = {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: ADDED.map((content, id) => ({ id, content, ...flags })),
      normalizer: null,
      pre_tokenizer: { ...bytes, use_regex: true },
      post_processor: null,
      decoder: { ...bytes, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(letters.map((letter, i) => [letter, ADDED.length + i])),
        merges: [],
      },
    },
    "tokenizer_config.json": {
      eos_token: ADDED[last],
      tokenizer_class: "PreTrainedTokenizerFast",
      ...template !== undefined && { chat_template: template },
    },
    "generation_config.json": { eos_token_id: ends },
  };
  for (const [name, json] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, JSON.stringify(json));
  }
}
