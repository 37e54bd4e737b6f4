import { checkpointFormat } from "../checkpoint_format.ts";
import { type EngineUse, type Format, type FormatOptions, type Refusal, said } from "../format.ts";
import { gptqParts, gptqValues, packGptq, unpackGptq } from "./codes.ts";
import { gptqConfig, gptqPrecision, recognizesGptq, refusedRoles } from "./config.ts";
import type { GptqVersion } from "./zeros.ts";
import { refusedPrecision } from "../precision_refusals.ts";
import type { Subject } from "../subject.ts";
import { groupSize, groupWords, MARLIN_GROUPS, refusedWeights } from "../weight_rules.ts";

/** Groups that GPTQModel's kernels take. */
const GROUPS = [-1, 16, 32, 64, 128, 256, 512, 1024];

/** GPTQ checkpoints as AutoGPTQ began them, zero points less one. */
export const gptq = gptqFormat(1, "GPTQ codes of 2, 3, 4 or 8 bits with zero points less one.");

/** The same with zero points as they are, which can be 0. */
export const gptq_v2 = gptqFormat(2, "GPTQ codes of 2, 3, 4 or 8 bits with plain zero points.");

function gptqFormat(version: GptqVersion, about: string): Format {
  return checkpointFormat({
    name: version === 1 ? "gptq" : "gptq_v2",
    about: `${about} transformers and vLLM read it.`,
    source: "gptqmodel 7.7.0, nn_modules/qlinear/__init__.py and utils/model.py",
    refusals: (subject): Refusal[] => [
      ...refusedPrecision(subject, "GPTQ codes"),
      ...refusedWeights(subject, {
        bits: [2, 3, 4, 8],
        zeros: ["none", "pre_scale"],
        // Whole words of codes along the inputs, and of zero points along the outputs.
        multiples: (bits) => bits === 3 ? [32, 32] : [32 / bits, 32 / bits],
        dense: true,
      }),
      ...refusedRoles(subject),
    ],
    engines: (subject, options) => enginesOf(subject, options, version),
    parts: gptqParts,
    *pack(weight, part, { name }) {
      yield packGptq(weight, part, { version, name });
    },
    config: (subject, json) => ({ ...json, quantization_config: gptqConfig(subject, version) }),
    texts: (subject) => ({
      "quantize_config.json": `${JSON.stringify(gptqConfig(subject, version), undefined, 2)}\n`,
    }),
    recognizes: (checkpoint) => recognizesGptq(checkpoint, version),
    async precision(checkpoint) {
      return await Promise.resolve({ linears: gptqPrecision(checkpoint, version), kv: [] });
    },
    unpack: (linear, parts) => unpackGptq(linear, parts, version),
    values: (linear, parts, range) => gptqValues(linear, parts, { version, range }),
  });
}

function enginesOf(
  { linears }: Pick<Subject, "linears">,
  { dtype }: FormatOptions,
  version: GptqVersion,
): EngineUse[] {
  const { weights } = linears.find(({ scheme }) => scheme)!.scheme!;
  const symmetric = weights.zero === "none";
  const size = groupSize(weights);
  const group = !GROUPS.includes(size) && `takes no groups of ${size}, ${groupWords(GROUPS)} alone`;
  return [
    {
      engine: "transformers",
      command: 'AutoModelForCausalLM.from_pretrained("DIR")',
      limits: said(["needs the packages optimum and gptqmodel", group]),
    },
    {
      engine: "vllm",
      command: "vllm serve DIR",
      limits: said([
        !(symmetric && [4, 8].includes(weights.bits)) &&
        "refuses this since it takes 4 or 8 bits with zero none alone (0.33)",
        !MARLIN_GROUPS.includes(size) &&
        `takes no groups of ${size}, ${groupWords(MARLIN_GROUPS)} alone`,
        dtype === "bfloat16" && "rounds scales to bfloat16; dtype float16 keeps them",
      ]),
    },
    {
      engine: "gptqmodel",
      command: 'GPTQModel.load("DIR")',
      limits: said([
        version === 1 && !symmetric &&
        "refuses zero points of this version that it did not write; export to gptq_v2",
        group,
      ]),
    },
  ];
}
