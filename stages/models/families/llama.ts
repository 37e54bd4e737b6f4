import { decoderConfig, noWindows, parseDecoderJson, statedBiases } from "../config.ts";
import type { Family } from "../family.ts";
import { loadDecoderLayer } from "./decoder_layer.ts";
import { decoderLayout } from "./decoder_layout.ts";
import type { GgufClass } from "../../formats/gguf/model_class.ts";

/** How llama.cpp holds Llama, and Mistral as Llama. */
export const llamaGguf: GgufClass = {
  architecture: "llama",
  name: "LlamaForCausalLM",
  type: "llama",
  interleaved: true,
  ownHeadSize: true,
  partialRotary: false,
  ropeDivisors: true,
  parts: {},
  config: ({ attentionBias, mlpBias }) => ({ attention_bias: attentionBias, mlp_bias: mlpBias }),
};

/** Llama 1, 2, 3 and 3.1, and what is published in their form (SmolLM2, Yi, Vicuna). */
export const llama: Family = {
  architectures: ["LlamaForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson(json);
    return decoderConfig(parsed, { biases: statedBiases(parsed), windows: noWindows(parsed) });
  },
  layout: decoderLayout,
  load: loadDecoderLayer,
  gguf: llamaGguf,
};
