import { decoderConfig, parseDecoderJson } from "../config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";
import { llamaGguf } from "./llama.ts";

/** Mistral: Llama with, in its first version, attention over a window of keys. */
export const mistral: Family = {
  architectures: ["MistralForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson(json);
    const window = parsed.sliding_window ?? undefined;
    const windows = Array.from({ length: parsed.num_hidden_layers }, () => window);
    return decoderConfig(parsed, { biases: [], windows });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
  gguf: llamaGguf,
};
