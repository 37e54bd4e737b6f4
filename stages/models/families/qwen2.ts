import { decoderConfig, laterWindows, parseDecoderJson } from "../config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** Qwen 2 and 2.5: Llama with biases on queries, keys and values. */
export const qwen2: Family = {
  architectures: ["Qwen2ForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson(json);
    return decoderConfig(parsed, { biases: ["q", "k", "v"], windows: laterWindows(parsed) });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
  gguf: {
    architecture: "qwen2",
    name: "Qwen2ForCausalLM",
    type: "qwen2",
    interleaved: false,
    ownHeadSize: false,
    partialRotary: false,
    ropeDivisors: false,
    parts: {},
    config: () => ({ use_sliding_window: false }),
  },
};
