import type { Section } from "../../pipeline/description.ts";
import type { DecoderConfig } from "../models/config.ts";

/** What `config.json` says, whether or not a family of ours runs it. */
export interface ArchitectureFacts {
  /** Such as `LlamaForCausalLM`. */
  readonly name: string;
  readonly config: DecoderConfig | undefined;
  readonly json: Readonly<Record<string, unknown>>;
}

/** The shape of a model. */
export function architectureSection({ name, config, json }: ArchitectureFacts): Section {
  if (config === undefined) {
    const known = ["model_type", "hidden_size", "num_hidden_layers", "vocab_size"];
    const facts = known.flatMap((key) =>
      json[key] === undefined ? [] : [[key, String(json[key])] as const]
    );
    return { title: "Architecture", facts: [["architecture", name], ...facts] };
  }
  const { heads, kvHeads, headSize } = config;
  const queries = heads === kvHeads ? "" : `, ${heads / kvHeads} queries a key`;
  const windows = groupLayers(config.windows.map((window) => window ? `${window}` : ""));
  return {
    title: "Architecture",
    facts: [
      ["architecture", name],
      ["layers", String(config.layers)],
      ["hidden size", String(config.hidden)],
      ["inner size", String(config.inner)],
      ...expertFacts(config),
      ["heads", `${heads} for queries, ${kvHeads} for keys, of ${headSize}${queries}`],
      ["vocabulary", String(config.vocabulary)],
      ["positions", String(config.positions)],
      ...ropeFacts(config),
      ...windows.filter(({ words }) => words !== "").map(({ words, layers }) =>
        ["window", `${words} keys in layers ${layers}`] as const
      ),
      ["biases", config.biases.length > 0 ? config.biases.join(", ") : "none"],
      ["embeddings", config.tied ? "tied: the head is the embedding table" : "head of its own"],
    ],
  };
}

/** The rotary embeddings, and where layers differ, which layers have them. */
function ropeFacts({ ropes, ropeOf, headSize }: DecoderConfig): [string, string][] {
  const of = groupLayers(ropeOf.map(String));
  return ropes.flatMap(({ theta, channels, scaling }, at): [string, string][] => {
    const layers = of.find(({ words }) => words === String(at))?.layers;
    const where = ropes.length > 1 ? ` in layers ${layers}` : "";
    const { type } = scaling;
    if (type === "none") return [["rotary positions", `none${where}`]];
    const factor = "factor" in scaling ? `, factor ${scaling.factor}` : "";
    return [
      ["rotary theta", `${theta}${where}`],
      ...channels < headSize
        ? [["rotary channels", `${channels} of a head's ${headSize}${where}`] as [string, string]]
        : [],
      ...type === "default"
        ? []
        : [["rotary scaling", `${type}${factor}${where}`] as [string, string]],
    ];
  });
}

/** Layers in words: `0-11`, `0, 2-5`. */
export function layerRanges(layers: readonly number[]): string {
  const ranges: [from: number, to: number][] = [];
  for (const layer of [...new Set(layers)].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && layer === last[1] + 1) last[1] = layer;
    else ranges.push([layer, layer]);
  }
  return ranges.map(([from, to]) => from === to ? `${from}` : `${from}-${to}`).join(", ");
}

/** Layers that have equal words, in the order in which the words first come. */
export function groupLayers(
  words: readonly string[],
): readonly { words: string; layers: string }[] {
  const groups = Map.groupBy(words.keys(), (layer) => words[layer]!);
  return [...groups].map(([words, layers]) => ({ words, layers: layerRanges(layers) }));
}

/** What experts there are, and in which layers. */
function expertFacts({ experts }: DecoderConfig): (readonly [string, string])[] {
  if (!experts) return [];
  const { count, chosen, inner, shared, layers } = experts;
  const those = layers.flatMap((has, layer) => has ? [layer] : []);
  return [
    ["experts", `${count} of inner size ${inner}, ${chosen} for a token`],
    ...shared === undefined ? [] : [["shared expert", `inner size ${shared}`] as const],
    ...those.length === layers.length ? [] : [["experts in layers", layerRanges(those)] as const],
  ];
}
