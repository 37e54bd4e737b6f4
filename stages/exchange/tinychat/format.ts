import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { LinearScheme } from "../../quant/schemes.ts";
import { checkpointFormat } from "../checkpoint_format.ts";
import {
  type EngineUse,
  type Format,
  type FormatOptions,
  modelRefusal,
  type Refusal,
  said,
} from "../format.ts";
import { plainBlockProblems } from "../plain_blocks.ts";
import { plainHeadProblems } from "../plain_heads.ts";
import { refusedPrecision } from "../precision_refusals.ts";
import { routersOf } from "../../models/site.ts";
import { packedLinears, statedQuantization } from "../stated_quantization.ts";
import type { Subject } from "../subject.ts";
import {
  packTinychat,
  scaleRows,
  TINYCHAT_GROUPS,
  tinychatParts,
  unpackTinychat,
} from "./codes.ts";
import { groupSize, refusedWeights } from "../weight_rules.ts";

/** Groups, and what divides outputs and inputs, of the engine's CUDA kernels. */
const KERNEL = 128;

/** Checkpoints of TinyChat, the engine of llm-awq: 4-bit codes with zeros as wide as scales. */
export const tinychat: Format = checkpointFormat({
  name: "tinychat",
  about: "AWQ codes of 4 bits with scaled zeros in TinyChat's interleaved layout.",
  source: "llm-awq, awq/quantize/qmodule.py and tinychat/utils/load_quant.py",
  refusals: (subject): Refusal[] => [
    ...refusedNorms(subject),
    ...plainBlockProblems(subject.config).map(modelRefusal),
    ...refusedRouters(subject),
    ...plainHeadProblems(subject.config).map(modelRefusal),
    ...refusedPrecision(subject, "TinyChat's codes"),
    ...refusedWeights(subject, {
      bits: [4],
      zeros: ["post_scale", "pre_scale"],
      groups: TINYCHAT_GROUPS,
      multiples: () => [4, 64],
      dense: false,
    }),
  ],
  engines: enginesOf,
  parts: tinychatParts,
  *pack(weight, part, { name }) {
    yield packTinychat(weight, part, name);
  },
  config: (subject, json) => ({
    ...json,
    // The engine's model always has a head of its own.
    tie_word_embeddings: false,
    quantization_config: {
      quant_method: "awq",
      bits: 4,
      group_size: groupSize(subject.linears[0]!.scheme!.weights),
      zero_point: true,
      backend: "llm-awq",
    },
  }),
  recognizes: (checkpoint) =>
    statedQuantization(checkpoint)?.backend === "llm-awq" ||
    [...checkpoint.tensors.keys()].some((name) => name.endsWith(".scaled_zeros")),
  precision: (checkpoint) => Promise.resolve({ linears: precisionOf(checkpoint), kv: [] }),
  unpack: unpackTinychat,
  // An integer zero point is written times its scale, in half precision. That is at most the value of
  // code 0 away, so 2^-11 of the largest value; twice that where range ratios leave code 0 unused.
  rounding: ({ linears }) =>
    linears.some(({ scheme }) => scheme?.weights.zero === "pre_scale") ? 2 ** -10 : 0,
});

/** Why the engine's model would not be this one: it normalizes nothing within attention. */
function refusedNorms({ layers }: Subject): Refusal[] {
  const normed = layers.flatMap(({ taps }) => Object.values(taps))
    .find(({ fedBy }) => fedBy.kind === "norm");
  if (!normed) return [];
  const text =
    `${normed.name} go through a norm, "${normed.fedBy.weight}", expected none: the engine has no place for it`;
  return [modelRefusal(text)];
}

/** Why the engine's model would not be this one: its layers have one MLP. */
function refusedRouters({ sites, name }: Subject): Refusal[] {
  const [router] = routersOf(sites);
  if (!router) return [];
  const text =
    `"${router.name}" chooses experts for a ${name}, expected one MLP a layer: the engine has no experts`;
  return [modelRefusal(text)];
}

function enginesOf(subject: Subject, options: FormatOptions): EngineUse[] {
  const { linears, name, config } = subject;
  const group = groupSize(linears[0]!.scheme!.weights);
  const odd = linears.find(({ rows, columns }) => rows % KERNEL !== 0 || columns % KERNEL !== 0);
  const bytes = tinychat.weightBytes(subject, options);
  const limits = [
    group !== KERNEL && `its kernels take groups of ${KERNEL} alone, not ${group}`,
    odd &&
    `its kernels take multiples of ${KERNEL}, which ${odd.name} (${odd.rows} by ${odd.columns}) is not`,
    bytes > options.shardBytes && `reads one file: set shard_bytes above ${bytes}`,
    config.windows.some((window) => window !== undefined) &&
    "its attention sees all keys, also where the model's has a window",
    "asks transformers for the slow tokenizer: put the model's tokenizer.model beside, where it has one",
  ];
  const type = name.startsWith("Qwen") ? "qwen" : "llama";
  const dtype = options.dtype === "bfloat16" ? "bfloat16" : "float16";
  return [{
    engine: "tinychat",
    command: `python demo.py --model_type ${type} --model_path DIR --precision W4A16 ` +
      `--dtype ${dtype} --q_group_size ${group} --load_quant DIR/model.safetensors`,
    limits: said(limits),
  }];
}

/** Groups follow from how many rows of scales there are: 8, 16 or 32 for 1024 inputs. */
function precisionOf(checkpoint: Checkpoint): Readonly<Record<string, LinearScheme>> {
  return Object.fromEntries(
    packedLinears(checkpoint).map(({ name, columns, scales: [height] }) => {
      const group = TINYCHAT_GROUPS.find((group) => scaleRows(columns, group) === height);
      if (group !== undefined && columns % group === 0) {
        return [name, { weights: { bits: 4, zero: "post_scale", group, levels: 1 } }];
      }
      throw new RangeError(
        `Cannot read tensor "${name}.scales" of "${checkpoint.path}": it has ${height} rows, expected ${
          TINYCHAT_GROUPS.map((group) => `${scaleRows(columns, group)} for groups of ${group}`)
            .join(", ")
        }`,
      );
    }),
  );
}
