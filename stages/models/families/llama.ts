import { decoderConfig, noWindows, parseDecoderJson } from "../config.ts";
import type { DecoderConfig, Family, LinearRole, Site } from "../family.ts";
import { headName, linearName, LINEARS, NAMES, normName } from "../names.ts";

/** Llama 1, 2, 3 and 3.1, and what is published in their form (SmolLM2, Yi, Vicuna). */
export const llama: Family = {
  architectures: ["LlamaForCausalLM"],
  config(json) {
    const parsed = parseDecoderJson(json);
    const biases: LinearRole[] = [];
    if (parsed.attention_bias) biases.push("q", "k", "v", "o");
    if (parsed.mlp_bias) biases.push("gate", "up", "down");
    return decoderConfig(parsed, { biases, windows: noWindows(parsed) });
  },
  tensors: decoderTensors,
  sites: decoderSites,
};

/** The tensors of a decoder with two norms a layer, gated MLP and rotary positions. */
export function decoderTensors(config: DecoderConfig): Map<string, readonly number[]> {
  const { hidden, inner, heads, kvHeads, headSize, vocabulary } = config;
  const shapes: Readonly<Record<LinearRole, readonly [outputs: number, inputs: number]>> = {
    q: [heads * headSize, hidden],
    k: [kvHeads * headSize, hidden],
    v: [kvHeads * headSize, hidden],
    o: [hidden, heads * headSize],
    gate: [inner, hidden],
    up: [inner, hidden],
    down: [hidden, inner],
  };
  const tensors = new Map<string, readonly number[]>();
  tensors.set(NAMES.embeddings, [vocabulary, hidden]);
  for (let layer = 0; layer < config.layers; layer++) {
    tensors.set(normName(layer, "attention"), [hidden]);
    for (const role of LINEARS) {
      if (role === "gate") tensors.set(normName(layer, "mlp"), [hidden]);
      tensors.set(`${linearName(layer, role)}.weight`, shapes[role]);
      if (config.biases.includes(role)) {
        tensors.set(`${linearName(layer, role)}.bias`, [shapes[role][0]]);
      }
    }
  }
  tensors.set(NAMES.norm, [hidden]);
  if (!config.tied) tensors.set(NAMES.head, [vocabulary, hidden]);
  return tensors;
}

/** The sites of such a decoder: four a layer, and the head. */
export function decoderSites(config: DecoderConfig): Site[] {
  const layers = Array.from({ length: config.layers }, (_, layer): Site[] => {
    const weight = (role: LinearRole) => `${linearName(layer, role)}.weight`;
    return [
      {
        name: `layers.${layer}.attention.in`,
        role: "attention.in",
        linears: [weight("q"), weight("k"), weight("v")],
        fedBy: normName(layer, "attention"),
      },
      {
        name: `layers.${layer}.attention.out`,
        role: "attention.out",
        linears: [weight("o")],
        fedBy: weight("v"),
      },
      {
        name: `layers.${layer}.mlp.in`,
        role: "mlp.in",
        linears: [weight("gate"), weight("up")],
        fedBy: normName(layer, "mlp"),
      },
      {
        name: `layers.${layer}.mlp.out`,
        role: "mlp.out",
        linears: [weight("down")],
        fedBy: weight("up"),
      },
    ];
  });
  return [
    ...layers.flat(),
    { name: "head", role: "head", linears: [headName(config)], fedBy: NAMES.norm },
  ];
}
