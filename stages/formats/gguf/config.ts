import type { GgufMetadata } from "./metadata.ts";
import type { GgufClass, GgufExpertFacts, GgufFacts } from "./model_class.ts";
import { ggufRopeScaling, shortest } from "./rope.ts";

/** The class of the architecture a GGUF file names; throws a `TypeError` where none of these is it. */
export function ggufClass(metadata: GgufMetadata, classes: readonly GgufClass[]): GgufClass {
  const architecture = metadata.text("general.architecture");
  const named = classes.filter((each) => each.architecture === architecture);
  const count = metadata.number(`${architecture}.expert_count`) ?? 0;
  const found = named.find(({ experts }) => (experts !== undefined) === count > 0);
  if (found) return found;
  if (named.length > 0) {
    throw new TypeError(
      `Cannot open "${metadata.path}": ${count} experts, expected ${
        count > 0 ? "a dense model" : "some"
      } of ${architecture}`,
    );
  }
  const known = new Set(classes.map((each) => each.architecture));
  throw new TypeError(
    `Cannot open "${metadata.path}": its general.architecture is ${
      JSON.stringify(architecture)
    }, expected one of ${[...known].join(", ")}`,
  );
}

/** `config.json` as transformers 4 would write it for the model of a GGUF file. */
export function ggufConfig(
  metadata: GgufMetadata,
  known: GgufClass,
  facts: GgufFacts,
): Record<string, unknown> {
  const { architecture, name, type, layerNorm = false, config } = known;
  const required = (key: string): number => {
    const value = metadata.number(`${architecture}.${key}`);
    if (value !== undefined) return value;
    throw new TypeError(
      `Cannot read the configuration of "${metadata.path}": no ${architecture}.${key}, expected it`,
    );
  };
  const optional = (key: string) => metadata.number(`${architecture}.${key}`);
  const count = (key: string, usual?: number): number =>
    countOf(metadata, {
      key: `${architecture}.${key}`,
      value: usual === undefined ? required(key) : optional(key) ?? usual,
    });
  const hidden = count("embedding_length");
  const heads = count("attention.head_count");
  const { headSize, rotary: channels } = ggufHeads(metadata, known);
  const theta = optional("rope.freq_base") ?? 10_000;
  return {
    architectures: [name],
    model_type: type,
    vocab_size: facts.vocabulary,
    hidden_size: hidden,
    intermediate_size: count("feed_forward_length"),
    num_hidden_layers: count("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: count("attention.head_count_kv", heads),
    head_dim: headSize,
    hidden_act: "silu",
    max_position_embeddings: count("context_length"),
    [layerNorm ? "layer_norm_eps" : "rms_norm_eps"]: shortest(required(epsilonKey(layerNorm))),
    rope_theta: shortest(theta),
    rope_scaling: ggufRopeScaling(metadata, architecture, {
      theta,
      channels,
      divisors: facts.rope,
    }),
    ...channels < headSize && { partial_rotary_factor: channels / headSize },
    tie_word_embeddings: facts.tied,
    ...config(facts),
    ...tokenId("bos_token_id", metadata.number("tokenizer.ggml.bos_token_id")),
    ...tokenId("eos_token_id", metadata.number("tokenizer.ggml.eos_token_id")),
    torch_dtype: "float32",
  };
}

/** A count that others are divided by before the configuration is checked as a whole. */
function countOf(
  { path }: Pick<GgufMetadata, "path">,
  { key, value }: { readonly key: string; readonly value: number },
): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new TypeError(
    `Cannot read the configuration of "${path}": ${key} is ${value}, ` +
      "expected a count of at least 1",
  );
}

/** Behind which key files have the epsilon of norms. */
export function epsilonKey(layerNorm: boolean): string {
  return layerNorm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
}

/** What a GGUF file says of its experts; undefined where it has none. */
export function ggufExperts(
  metadata: GgufMetadata,
  { architecture, experts }: Pick<GgufClass, "architecture" | "experts">,
): GgufExpertFacts | undefined {
  if (!experts) return undefined;
  const number = (key: string) => metadata.number(`${architecture}.${key}`);
  const chosen = number("expert_used_count");
  if (chosen === undefined) {
    throw new TypeError(
      `Cannot read the configuration of "${metadata.path}": no ${architecture}.expert_used_count, expected it`,
    );
  }
  return {
    count: number("expert_count") ?? 0,
    chosen,
    inner: number("expert_feed_forward_length"),
    shared: number("expert_shared_feed_forward_length"),
  };
}

/** Size of an attention head and the channels of it that turn; throws where they are odd. */
export function ggufHeads(
  metadata: GgufMetadata,
  { architecture, partialRotary }: GgufClass,
): { readonly headSize: number; readonly rotary: number } {
  const number = (key: string) => metadata.number(`${architecture}.${key}`);
  const key = `${architecture}.attention.head_count`;
  const heads = metadata.number(key);
  if (heads !== undefined) countOf(metadata, { key, value: heads });
  const whole = (number("embedding_length") ?? NaN) / (heads ?? NaN);
  const said = number("rope.dimension_count");
  const size = number("attention.key_length") ?? (partialRotary ? whole : said ?? whole);
  const value = number("attention.value_length") ?? size;
  const rotary = said ?? size;
  const even = Number.isInteger(size / 2) && size > 0;
  const turns = rotary === size || partialRotary && rotary < size && rotary % 2 === 0;
  if (even && value === size && turns) return { headSize: size, rotary };
  throw new TypeError(
    `Cannot open "${metadata.path}": heads of ${size} with values of ${value} and ${rotary} rotary dimensions, expected one even size`,
  );
}

function tokenId(key: string, id: number | undefined): Record<string, number> {
  return id === undefined ? {} : { [key]: id };
}
