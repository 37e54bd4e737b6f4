import { z } from "zod";
import type { Activation } from "../../kernels/glu.ts";
import { readConfig } from "./config_keys.ts";
import type { ExpertsConfig } from "./experts_config.ts";
import { readRopes, type RopeFacts, type Ropes } from "./rope_config.ts";
import type { Rope } from "./rope.ts";
import type { LinearRole } from "./site.ts";

/** What a decoder-only transformer is, read once from `config.json`. */
export interface DecoderConfig extends Ropes {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Inner size of the MLP. */
  readonly inner: number;
  readonly vocabulary: number;
  /** Longest context the model was made for. */
  readonly positions: number;
  readonly normEps: number;
  /** Whether the head is the embedding table. */
  readonly tied: boolean;
  /** Which linears of a layer have a bias. */
  readonly biases: readonly LinearRole[];
  /** Keys each layer's attention sees, where that is fewer than all. */
  readonly windows: readonly (number | undefined)[];
  /** Whether norms go by the root mean square, or take a row's mean away first (LayerNorm). */
  readonly norm: "rms" | "layer";
  /** Whether norms of the residual stream add a bias. */
  readonly normBias: boolean;
  /** What has a norm of queries and keys before they turn: heads with gains that they share or with their own, or all heads as one row. */
  readonly queryKeyNorms: "shared" | "own" | "row" | undefined;
  /** Whether the MLP reads what attention reads, so that both are added at once. */
  readonly parallel: boolean;
  /** Whether neighbours among a head's channels turn together, instead of halves. */
  readonly neighbours: boolean;
  /** What blocks make is multiplied by as it is added to the residual stream. */
  readonly residualScale: number;
  /** What logits are multiplied by. */
  readonly logitScale: number;
  /** The norms of the residual stream in a layer; those of Llama where undefined. */
  readonly layerNorms: LayerNorms | undefined;
  /** What the gates of the MLP go through. */
  readonly activation: Activation;
  /** What rows of the embedding table are multiplied by. */
  readonly embeddingScale: number;
  /** What attention's scores are multiplied by. */
  readonly attentionScale: number;
  /** Keeps those scores between it and its negative (`softCap`). */
  readonly attentionCap: number | undefined;
  /** The same of logits. */
  readonly logitCap: number | undefined;
  /** Experts in the place of MLPs, in models that have them. */
  readonly experts: ExpertsConfig | undefined;
}

/** The norms of a layer. */
export type LayerNorms = Readonly<Record<"attention" | "mlp", BlockNorms>>;

/** The norms around attention or the MLP, by their modules within the layer. */
export interface BlockNorms {
  /** Of what it reads; the stream itself where there is none. */
  readonly before?: string;
  /** Of what it adds to the residual stream, if that is normalized. */
  readonly behind?: string;
}

/** What families say where they are not as Llama is. */
type Unlike = Pick<
  DecoderConfig,
  | "norm"
  | "normBias"
  | "queryKeyNorms"
  | "parallel"
  | "neighbours"
  | "residualScale"
  | "logitScale"
  | "layerNorms"
  | "activation"
  | "embeddingScale"
  | "attentionCap"
  | "logitCap"
  | "experts"
>;

const LLAMA: Unlike = {
  norm: "rms",
  normBias: false,
  queryKeyNorms: undefined,
  parallel: false,
  neighbours: false,
  residualScale: 1,
  logitScale: 1,
  layerNorms: undefined,
  activation: "silu",
  embeddingScale: 1,
  attentionCap: undefined,
  logitCap: undefined,
  experts: undefined,
};

/** More would be no model: sizes are multiplied, and every layer is listed. */
const count = z.int().positive().max(2 ** 31);
const layerCount = count.max(10_000);
/** Largest head that kernels attend with. */
const MOST_HEAD = 1024;
const rope = z.looseObject({}).nullish();

/** The keys of `config.json` that decoders of the Llama kind share, as transformers 4 and 5 write them. */
const decoderJson = z.looseObject({
  hidden_size: count,
  num_hidden_layers: layerCount,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  intermediate_size: count,
  vocab_size: count,
  max_position_embeddings: count.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: rope,
  rope_parameters: rope,
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  original_max_position_embeddings: count.nullish(),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  sliding_window: count.nullish(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.int().nonnegative().optional(),
  layer_types: z.array(z.string()).nullish(),
});

/** What `decoderJson` reads. */
export type DecoderJson = z.infer<typeof decoderJson>;

/** Parses the shared keys; all problems in one error. */
export function parseDecoderJson(json: unknown): DecoderJson {
  return readConfig(decoderJson, json);
}

/** What a family says beside the shared keys. */
export interface Particulars extends Partial<Unlike> {
  readonly biases: readonly LinearRole[];
  readonly windows: readonly (number | undefined)[];
  /** 1 / sqrt(head size) unless said. */
  readonly attentionScale?: number;
  /** What its rotary embeddings are like, where they are not Llama's. */
  readonly rope?: Omit<RopeFacts, "headSize">;
}

/** A decoder's config from the shared keys and its family's particulars. */
export function decoderConfig(
  json: DecoderJson,
  { rope, ...particulars }: Particulars,
): DecoderConfig {
  const heads = json.num_attention_heads;
  const kvHeads = json.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) {
    throw new RangeError(
      `Cannot read config.json: num_key_value_heads is ${kvHeads}, expected a divisor of num_attention_heads ${heads}`,
    );
  }
  const headSize = headSizeOf(json);
  checkWidths(json, `${heads} heads of ${headSize}`, heads * headSize);
  const { ropes, ropeOf } = readRopes(json, { headSize, ...rope });
  return {
    hidden: json.hidden_size,
    layers: json.num_hidden_layers,
    heads,
    kvHeads,
    headSize,
    inner: json.intermediate_size,
    vocabulary: json.vocab_size,
    positions: Math.max(json.max_position_embeddings, ...ropes.map(stretchedPositions)),
    normEps: json.rms_norm_eps,
    ropes,
    ropeOf,
    tied: json.tie_word_embeddings,
    attentionScale: 1 / Math.sqrt(headSize),
    ...LLAMA,
    ...particulars,
  };
}

/** The linears that `attention_bias` and `mlp_bias` give a bias. */
export function statedBiases(json: DecoderJson): LinearRole[] {
  const attention: LinearRole[] = json.attention_bias ? ["q", "k", "v", "o"] : [];
  return json.mlp_bias ? [...attention, "gate", "up", "down"] : attention;
}

/** No window in any layer. */
export function noWindows(json: DecoderJson): undefined[] {
  return Array.from({ length: json.num_hidden_layers }, () => undefined);
}

/** Windows as Qwen has them: of layers from `max_window_layers` on, if the config turns them on at all. */
export function laterWindows(json: DecoderJson): (number | undefined)[] {
  const window = json.use_sliding_window ? json.sliding_window ?? undefined : undefined;
  const first = json.max_window_layers ?? json.num_hidden_layers;
  return Array.from({ length: json.num_hidden_layers }, (_, layer) => {
    const sliding = json.layer_types
      ? json.layer_types[layer] === "sliding_attention"
      : layer >= first;
    return sliding ? window : undefined;
  });
}

/** Throws where products of activations and weights have inner sizes that no kernel takes. */
function checkWidths(
  { hidden_size, intermediate_size }: DecoderJson,
  heads: string,
  channels: number,
) {
  const widths = { hidden_size, intermediate_size, [`the channels of ${heads}`]: channels };
  const odd = Object.entries(widths).find(([, width]) => width % 8 !== 0);
  if (!odd) return;
  throw new RangeError(
    `Cannot read config.json: ${odd[0]} is ${
      odd[1]
    }, expected a multiple of 8, by which linears multiply`,
  );
}

/** Size of a head; throws where no kernel attends with such heads. */
function headSizeOf({ head_dim, hidden_size, num_attention_heads: heads }: DecoderJson): number {
  const size = head_dim ?? hidden_size / heads;
  if (size % 4 === 0 && size <= MOST_HEAD) return size;
  throw new RangeError(
    `Cannot read config.json: heads are of size ${size}${
      head_dim ? "" : `, hidden_size ${hidden_size} / num_attention_heads ${heads}`
    }, expected a multiple of 4 up to ${MOST_HEAD}`,
  );
}

/** Positions that YaRN stretches the original ones to, whatever `max_position_embeddings` says. */
function stretchedPositions({ scaling }: Rope): number {
  return scaling.type === "yarn" ? Math.floor(scaling.factor * scaling.originalPositions) : 0;
}
