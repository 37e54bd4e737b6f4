import type { TokenizerFiles } from "../checkpoint.ts";
import { findPreTokenizer } from "../gguf/pre_tokenizers.ts";

/** Classes of transformers whose tokenizers are a vocabulary and merges of bytes: how they cut text. */
const CLASSES: Readonly<Record<string, string>> = {
  CodeGenTokenizer: "gpt-2",
  GPT2Tokenizer: "gpt-2",
  Qwen2Tokenizer: "qwen2",
};

/** The tokenizer of `vocab.json` and `merges.txt`, by the class that `tokenizer_config.json` names. */
export function vocabularyFiles(
  { vocabulary, merges }: { readonly vocabulary: unknown; readonly merges: string },
  path: string,
  config: Readonly<Record<string, unknown>>,
): TokenizerFiles {
  const named = config.tokenizer_class;
  const name = typeof named === "string" ? named.replace(/Fast$/, "") : "";
  const pre = Object.hasOwn(CLASSES, name) ? CLASSES[name]! : undefined;
  if (pre === undefined) {
    throw new TypeError(
      `Cannot use "${path}": tokenizer_config.json has tokenizer_class ${
        JSON.stringify(named) ?? "nowhere"
      }, expected ${
        Object.keys(CLASSES).join(", ")
      }; save the tokenizer with transformers, which writes tokenizer.json`,
    );
  }
  const { preTokenizer, composed } = findPreTokenizer(pre, path);
  const spaced = config.add_prefix_space === true;
  if (spaced && pre !== "gpt-2") {
    throw new TypeError(
      `Cannot use "${path}": its ${name} puts a space before texts, expected add_prefix_space false; ` +
        "save the tokenizer with transformers, which writes tokenizer.json",
    );
  }
  const cut = spaced ? { ...preTokenizer as object, add_prefix_space: true } : preTokenizer;
  const lines = merges.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#version"));
  const bytes = {
    type: "ByteLevel",
    add_prefix_space: spaced,
    trim_offsets: true,
    use_regex: true,
  };
  return {
    tokenizer: {
      version: "1.0",
      added_tokens: [],
      normalizer: composed ? { type: "NFC" } : null,
      pre_tokenizer: cut,
      post_processor: bytes,
      decoder: bytes,
      model: { type: "BPE", vocab: vocabulary, merges: lines },
    },
    config,
  };
}
