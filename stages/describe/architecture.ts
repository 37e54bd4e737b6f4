import type { Section } from "../../pipeline/description.ts";
import type { DecoderConfig } from "../models/config.ts";
import { groupLayers } from "./layer_ranges.ts";

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
  const { heads, kvHeads, headSize, ropeScaling: scaling } = config;
  const queries = heads === kvHeads ? "" : `, ${heads / kvHeads} queries a key`;
  const windows = groupLayers(config.windows.map((window) => window ? `${window}` : ""));
  return {
    title: "Architecture",
    facts: [
      ["architecture", name],
      ["layers", String(config.layers)],
      ["hidden size", String(config.hidden)],
      ["inner size", String(config.inner)],
      ["heads", `${heads} for queries, ${kvHeads} for keys, of ${headSize}${queries}`],
      ["vocabulary", String(config.vocabulary)],
      ["positions", String(config.positions)],
      ["rotary theta", `${config.ropeTheta}`],
      ...scaling.type === "default"
        ? []
        : [["rotary scaling", `${scaling.type}, factor ${scaling.factor}`] as const],
      ...windows.filter(({ words }) => words !== "").map(({ words, layers }) =>
        ["window", `${words} keys in layers ${layers}`] as const
      ),
      ["biases", config.biases.length > 0 ? config.biases.join(", ") : "none"],
      ["embeddings", config.tied ? "tied: the head is the embedding table" : "head of its own"],
    ],
  };
}
