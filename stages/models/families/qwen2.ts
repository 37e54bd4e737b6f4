import { decoderConfig, type DecoderJson, parseDecoderJson } from "../config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** Qwen 2 and 2.5: Llama with biases on queries, keys and values. */
export const qwen2: Family = {
  architectures: ["Qwen2ForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson(json);
    return decoderConfig(parsed, { biases: ["q", "k", "v"], windows: windowsOf(parsed) });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
};

/** Layers from `max_window_layers` on see a window, if the config turns windows on at all. */
function windowsOf(json: DecoderJson): (number | undefined)[] {
  const window = json.use_sliding_window ? json.sliding_window ?? undefined : undefined;
  const first = json.max_window_layers ?? json.num_hidden_layers;
  return Array.from({ length: json.num_hidden_layers }, (_, layer) => {
    const sliding = json.layer_types
      ? json.layer_types[layer] === "sliding_attention"
      : layer >= first;
    return sliding ? window : undefined;
  });
}
