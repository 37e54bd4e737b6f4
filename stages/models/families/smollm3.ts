import { z } from "zod";
import { decoderConfig, laterWindows, parseDecoderJson, statedBiases } from "../config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";

/** What transformers takes for keys that a `config.json` leaves out. */
const DEFAULTS = { num_key_value_heads: 4, tie_word_embeddings: true };
/** llama.cpp has no other interval. */
const INTERVAL = 4;

const ropeless = z.looseObject({
  /** 1 where a layer turns queries and keys, 0 where it leaves them. */
  no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullish(),
  no_rope_layer_interval: z.int().positive().default(INTERVAL),
});

/** SmolLM 3: Llama in which every fourth layer does not turn queries and keys. */
export const smollm3: Family = {
  architectures: ["SmolLM3ForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson({ ...DEFAULTS, ...json as object });
    const { no_rope_layers, no_rope_layer_interval: interval } = ropeless.parse(json);
    const layers = Array.from({ length: parsed.num_hidden_layers }, (_, layer) => layer);
    const still = (layer: number) => {
      const turns = no_rope_layers ? no_rope_layers[layer] : (layer + 1) % interval;
      return turns === 0;
    };
    const layer_types = parsed.layer_types ??
      layers.map((layer) => still(layer) ? "sliding_attention" : "full_attention");
    return decoderConfig(parsed, {
      biases: statedBiases(parsed),
      windows: laterWindows({ ...parsed, layer_types }),
      rope: { theta: 2_000_000, still },
    });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
  gguf: {
    architecture: "smollm3",
    name: "SmolLM3ForCausalLM",
    type: "smollm3",
    interleaved: true,
    ownHeadSize: true,
    partialRotary: false,
    ropeDivisors: false,
    still: (layer) => (layer + 1) % INTERVAL === 0,
    parts: {},
    config: ({ attentionBias, mlpBias }) => ({
      attention_bias: attentionBias,
      mlp_bias: mlpBias,
      use_sliding_window: false,
    }),
  },
};
