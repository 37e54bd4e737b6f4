import { checkpointFormat } from "../checkpoint_format.ts";
import type { Format } from "../format.ts";
import { qserveEngines } from "./engines.ts";
import { formOf, KERNEL_GROUP, qserveParts, QUANT_METHODS } from "./form.ts";
import { kvScaleTensors, qserveKv } from "./kv.ts";
import { readQservePrecision } from "./precision.ts";
import { modelForm, refusedGains, refusedQserve } from "./refusals.ts";
import { packQserve, unpackQserve } from "./codes.ts";
import type { Subject } from "../subject.ts";

/**
 * Largest rounding of pre-scale zeros, which are kept times their scale in half precision: 2^-11 of
 * the product, which is at most twice the largest value of the row.
 */
const ROUNDING = 2 ** -10;
/** Files of PyTorch that the converters of others write. */
const PICKLES = ["quant_model.pt", "pytorch_model.bin"];

const directory = checkpointFormat({
  name: "qserve",
  about: "4- or 8-bit weights under 8-bit inputs, packed for the kernels of QServe (OmniServe).",
  source:
    "Lin et al., QServe, arXiv 2405.04532, the loaders of mit-han-lab/omniserve and SGLang 0.5.4",
  refusals: (subject, options) => [...refusedQserve(subject, options)],
  engines: qserveEngines,
  parts: (linear) => qserveParts(linear),
  *pack(weight, part) {
    yield packQserve(weight, part);
  },
  config: configOf,
  beside: (subject) => kvScaleTensors(subject),
  recognizes({ config, tensors }) {
    const { quantization_config: said } = config as {
      readonly quantization_config?: { readonly quant_method?: unknown } | null;
    };
    if (said) return QUANT_METHODS.some((method) => method === said.quant_method);
    return [...tensors.keys()].some((name) => /\.(s1_scales|dequant_scale)$/.test(name));
  },
  precision: readQservePrecision,
  unpack: unpackQserve,
  rounding({ linears }) {
    const rounded = linears.some(({ scheme }) =>
      scheme?.weights.zero === "pre_scale" && formOf(scheme.weights) === "channel"
    );
    return rounded ? ROUNDING : 0;
  },
});

/**
 * A checkpoint for QServe's engine (.github/ALGORITHMS.md#qserve-tensors): W4A8 with a scale an output
 * or in groups of 128, or W8A8, all with dynamic 8-bit inputs.
 */
export const qserve: Format = {
  ...directory,
  refuseValues: (source) => refusedGains(source),
  async open(path) {
    await refusePickles(path);
    return await directory.open(path);
  },
};

/** `config.json` as the transformers of the engine (4.37) reads it. */
function configOf(
  subject: Subject,
  json: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { config: { ropes, kvHeads, positions, normEps }, name, record } = subject;
  // Rotary parameters had no place of their own then, and missing keys had other defaults.
  const { rope_parameters: _, ...kept } = json;
  const form = modelForm(subject);
  const { bits, granularity } = qserveKv(subject);
  const [kv] = record.kv;
  return {
    ...kept,
    num_key_value_heads: kvHeads,
    max_position_embeddings: positions,
    rms_norm_eps: normEps,
    rope_theta: ropes[0]!.theta,
    rope_scaling: null,
    ...name === "MistralForCausalLM" && { sliding_window: null },
    tie_word_embeddings: false,
    quantization_config: {
      // By this name and these keys SGLang finds its kernels for 4 bits; OmniServe reads none.
      ...form === "bytes"
        ? { quant_method: "qserve", bits: 8 }
        : { quant_method: "qoq", bits: 4, wbits: 4 },
      group_size: form === "groups" ? KERNEL_GROUP : -1,
      zero: form === "bytes" ? "none" : "post_scale",
      activation_bits: 8,
      activation_granularity: "per_token",
      ...kv && { kv_bits: bits, kv_granularity: granularity, kv_zero: kv.key.zero },
      norms_folded: form !== "bytes",
    },
  };
}

async function refusePickles(path: string): Promise<void> {
  const names = (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
  const found = PICKLES.find((name) => names.includes(name));
  if (!found || names.some((name) => name.endsWith(".safetensors"))) return;
  throw new TypeError(
    `Cannot read "${path}": its weights are in ${found}, expected model.safetensors; convert them there with python -c "import torch; from safetensors.torch import save_file; save_file({k: v.clone() for k, v in torch.load('${found}', weights_only=True).items()}, 'model.safetensors')"`,
  );
}
