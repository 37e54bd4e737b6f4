import { decoderConfig } from "../config.ts";
import type { Family } from "../family.ts";
import {
  GEMMA,
  GEMMA_GGUF,
  gemmaDifferences,
  gemmaGgufConfig,
  gemmaParticulars,
  layerTypes,
  parseGemmaJson,
} from "./gemma_decoder.ts";

/** What transformers takes for keys that a `config.json` leaves out. */
const DEFAULTS = {
  sliding_window: 4096,
  attn_logit_softcapping: 50,
  final_logit_softcapping: 30,
};

/** Layers up to one that attends to all keys. */
const PERIOD = 2;
/** Layers of Gemma 2 27B. */
const LARGE = 46;

/** Gemma 2: soft caps on scores and logits, a window in every second layer. */
export const gemma2: Family = {
  ...GEMMA,
  architectures: ["Gemma2ForCausalLM"],
  config(json) {
    const parsed = parseGemmaJson(json, DEFAULTS);
    return decoderConfig(parsed, gemmaParticulars(parsed, layerTypes(parsed, PERIOD)));
  },
  gguf: {
    ...GEMMA_GGUF,
    architecture: "gemma2",
    name: "Gemma2ForCausalLM",
    type: "gemma2",
    windows: { period: PERIOD },
    numbers: ({ attentionCap, logitCap }) => ({
      attn_logit_softcapping: attentionCap!,
      final_logit_softcapping: logitCap!,
    }),
    differences: (model) => {
      const caps = { scores: model.attentionCap, logits: model.logitCap };
      const uncapped = Object.entries(caps).find(([, cap]) => cap === undefined)?.[0];
      return [
        ...gemmaDifferences(model, LARGE),
        ...uncapped ? [`its ${uncapped} have no cap, expected one in a gemma2 of llama.cpp`] : [],
        ...model.tied
          ? []
          : ["its head is its own, expected the embeddings in a gemma2 of llama.cpp"],
      ];
    },
    config: (facts) => ({
      ...gemmaGgufConfig(facts, LARGE),
      sliding_window: facts.window ?? DEFAULTS.sliding_window,
      attn_logit_softcapping: facts.number("attn_logit_softcapping") ??
        DEFAULTS.attn_logit_softcapping,
      final_logit_softcapping: facts.number("final_logit_softcapping") ??
        DEFAULTS.final_logit_softcapping,
    }),
  },
};
