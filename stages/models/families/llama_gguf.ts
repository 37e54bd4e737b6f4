import type { GgufClass } from "../../formats/gguf/model_class.ts";

/** How llama.cpp holds Llama, and Mistral as Llama. */
export const llamaGguf: GgufClass = {
  architecture: "llama",
  name: "LlamaForCausalLM",
  type: "llama",
  interleaved: true,
  ownHeadSize: true,
  parts: {},
  config: ({ attentionBias, mlpBias }) => ({ attention_bias: attentionBias, mlp_bias: mlpBias }),
};
