import { z } from "zod";
import { readConfig } from "./config_keys.ts";

/** Experts of some layers: MLPs of which a router chooses a few for every token. */
export interface ExpertsConfig {
  /** Experts of a layer. */
  readonly count: number;
  /** Experts that a token goes to. */
  readonly chosen: number;
  /** Inner size of an expert. */
  readonly inner: number;
  /** Whether the weights of a token's experts add up to 1. */
  readonly normalized: boolean;
  /** Inner size of an expert beside these that all tokens go through, where there is one. */
  readonly shared: number | undefined;
  /** Whether a layer has experts; the others have an MLP. */
  readonly layers: readonly boolean[];
  /** What they are called in checkpoints. */
  readonly names: ExpertNames;
}

/** What the modules of a layer with experts are called within it. */
export interface ExpertNames {
  /** The module that has all of them, such as `mlp`. */
  readonly block: string;
  /** An expert's linears, such as `gate_proj`. */
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  /** The expert that all tokens go through, and what it is multiplied by. */
  readonly shared?: { readonly expert: string; readonly gate: string };
}

/** More than any model has; a count that is no count is refused before memory is taken for it. */
const count = z.int().positive().max(65_536);

const mixtralJson = z.looseObject({
  num_local_experts: count.default(8),
  num_experts_per_tok: count.default(2),
});

const qwenJson = z.looseObject({
  num_experts: count.nullish(),
  num_local_experts: count.nullish(),
  num_experts_per_tok: count,
  moe_intermediate_size: count,
  shared_expert_intermediate_size: count.nullish(),
  norm_topk_prob: z.boolean().default(false),
  decoder_sparse_step: z.int().positive().default(1),
  mlp_only_layers: z.array(z.int().nonnegative()).nullish(),
});

/** Experts as Mixtral has them: in every layer, of the size of its MLP, with weights that add up to 1. */
export function mixtralExperts(
  json: unknown,
  { inner, layers }: { readonly inner: number; readonly layers: number },
): ExpertsConfig {
  const { num_local_experts, num_experts_per_tok } = readConfig(mixtralJson, json);
  return checked({
    count: num_local_experts,
    chosen: num_experts_per_tok,
    inner,
    normalized: true,
    shared: undefined,
    layers: Array.from({ length: layers }, () => true),
    names: { block: "block_sparse_moe", gate: "w1", up: "w3", down: "w2" },
  });
}

/** Experts as Qwen has them: in layers that its config chooses, of a size of their own. */
export function qwenExperts(
  json: unknown,
  { layers, shared }: { readonly layers: number; readonly shared: boolean },
): ExpertsConfig {
  const found = readConfig(qwenJson, json);
  const dense = new Set(found.mlp_only_layers ?? []);
  const step = found.decoder_sparse_step;
  const inner = found.shared_expert_intermediate_size ?? undefined;
  if (shared && inner === undefined) {
    throw new TypeError(
      "Cannot read config.json: shared_expert_intermediate_size is not there, expected the inner size of the shared expert",
    );
  }
  return checked({
    count: found.num_experts ?? found.num_local_experts ?? 0,
    chosen: found.num_experts_per_tok,
    inner: found.moe_intermediate_size,
    normalized: found.norm_topk_prob,
    shared: shared ? inner : undefined,
    layers: Array.from(
      { length: layers },
      (_, layer) => !dense.has(layer) && (layer + 1) % step === 0,
    ),
    names: {
      block: "mlp",
      gate: "gate_proj",
      up: "up_proj",
      down: "down_proj",
      ...shared && { shared: { expert: "shared_expert", gate: "shared_expert_gate" } },
    },
  });
}

/** Throws where a token cannot have so many experts, or no kernel multiplies by what is inside one. */
function checked(experts: ExpertsConfig): ExpertsConfig {
  const { count, chosen, inner, shared = 0 } = experts;
  if (!(chosen <= count)) {
    throw new RangeError(
      `Cannot read config.json: num_experts_per_tok is ${chosen} of ${count} experts, expected no more than there are`,
    );
  }
  if (inner % 8 === 0 && shared % 8 === 0) return experts;
  throw new RangeError(
    `Cannot read config.json: the inner size of an expert is ${
      inner % 8 === 0 ? shared : inner
    }, expected a multiple of 8, by which linears multiply`,
  );
}
