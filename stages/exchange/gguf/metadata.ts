import { elements } from "../../../kernels/device/tensor.ts";
import { GGUF_ALIGNMENT, type GgufEntries, type GgufEntry } from "../../formats/gguf/encoding.ts";
import type { GgufClass } from "../../formats/gguf/model_class.ts";
import { FILE_TYPES } from "../../formats/gguf/ggml_types.ts";
import { epsilonKey } from "../../formats/gguf/config.ts";
import { PROVENANCE_KEY } from "../../formats/gguf/metadata.ts";
import type { GgufTensorPlan } from "./plan.ts";
import { ropeEntries } from "./rope.ts";
import type { Provenance } from "../provenance.ts";
import type { Subject } from "../subject.ts";

/** The version of ggml's block layouts, `GGML_QNT_VERSION`. */
const QUANTIZATION_VERSION = 2;

/** What a GGUF file says of a model beside its tokenizer: gguf.md of ggml, as llama.cpp reads it. */
export function modelEntries(
  subject: Subject,
  { plans, provenance }: {
    readonly plans: readonly GgufTensorPlan[];
    readonly provenance: Provenance;
  },
): GgufEntries {
  const { family, config, json } = subject;
  const { architecture, windows, numbers } = family.gguf!;
  const own: Record<string, GgufEntry> = {
    vocab_size: { u32: config.vocabulary },
    context_length: { u32: contextOf(subject) },
    embedding_length: { u32: config.hidden },
    block_count: { u32: config.layers },
    feed_forward_length: { u32: config.inner },
    "attention.head_count": { u32: config.heads },
    "attention.head_count_kv": { u32: config.kvHeads },
    "attention.key_length": { u32: config.headSize },
    "attention.value_length": { u32: config.headSize },
    [epsilonKey(config.norm === "layer")]: { f32: config.normEps },
    // Without windows, one as long as the context lets every layer attend to all keys.
    ...windows && {
      "attention.sliding_window": {
        u32: config.windows.find((window) => window !== undefined) ?? config.positions,
      },
    },
    ...Object.fromEntries(
      Object.entries(numbers?.(config) ?? {}).map(([key, f32]) => [key, { f32 }]),
    ),
    ...expertEntries(config, family.gguf!),
  };
  const type = mostCommonType(plans);
  const origin = typeof json._name_or_path === "string" && json._name_or_path.split("/").at(-1);
  return {
    "general.architecture": { text: architecture },
    "general.type": { text: "model" },
    // Where a name has "phi3", llama.cpp asks for tokens that not all vocabularies of Phi 3 and 4 have.
    "general.name": {
      text: origin || String(json.model_type ?? architecture).replace("phi3", "phi 3"),
    },
    "general.description": { text: provenance.scheme },
    "general.alignment": { u32: GGUF_ALIGNMENT },
    "general.file_type": {
      u32: Number(Object.entries(FILE_TYPES).find(([, name]) => name === type)![0]),
    },
    ...type.startsWith("Q") && {
      "general.quantization_version": { u32: QUANTIZATION_VERSION },
      "general.quantized_by": { text: provenance.producer },
    },
    ...Object.fromEntries(
      Object.entries(own).map(([key, entry]) => [`${architecture}.${key}`, entry]),
    ),
    ...ropeEntries(config.ropes[0]!, architecture),
    [PROVENANCE_KEY]: { text: JSON.stringify(provenance) },
  };
}

/** What a file says of experts. */
function expertEntries(
  { experts }: Subject["config"],
  { experts: known }: GgufClass,
): Record<string, GgufEntry> {
  if (!experts) return {};
  const { count, chosen, inner, shared } = experts;
  return {
    expert_count: { u32: count },
    expert_used_count: { u32: chosen },
    ...known?.ownInner && { expert_feed_forward_length: { u32: inner } },
    ...shared !== undefined && { expert_shared_feed_forward_length: { u32: shared } },
  };
}

/**
 * The longest context in which llama.cpp computes what the model does: a window ends it in
 * architectures that it lets attend to all keys.
 */
export function contextOf({ config: { positions, windows }, family }: Subject): number {
  if (family.gguf?.windows) return positions;
  return Math.min(positions, ...windows.map((window) => window ?? Infinity));
}

/** The type that holds most values of the layers' matrices. */
function mostCommonType(plans: readonly GgufTensorPlan[]): string {
  const counts = new Map<string, number>();
  for (const { name, type, shape } of plans) {
    if (shape.length < 2 || !name.startsWith("blk.")) continue;
    counts.set(type, (counts.get(type) ?? 0) + elements(shape));
  }
  return [...counts].reduce((a, b) => b[1] > a[1] ? b : a)[0];
}
