import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { LinearScheme } from "../../quant/schemes.ts";
import { awqParts, packAwq, unpackAwq } from "./codes.ts";
import { checkpointFormat } from "../checkpoint_format.ts";
import { type EngineUse, type FormatOptions, type Refusal, said } from "../format.ts";
import { denseRoles, modulesOf } from "../gptq/config.ts";
import { refusedPrecision } from "../precision_refusals.ts";
import { groupOf, packedLinears, statedQuantization } from "../stated_quantization.ts";
import type { Subject } from "../subject.ts";
import { routersOf } from "../../models/site.ts";
import { groupSize, groupWords, MARLIN_GROUPS, refusedWeights } from "../weight_rules.ts";

/** AWQ checkpoints for matrix products (`gemm`): 4-bit codes with integer zero points. */
export const auto_awq = checkpointFormat({
  name: "auto_awq",
  about: "AWQ codes of 4 bits with integer zero points, which transformers and vLLM read.",
  source: "autoawq 0.2.9, awq/modules/linear/gemm.py",
  refusals: (subject): Refusal[] => [
    ...refusedPrecision(subject, "AWQ codes"),
    ...refusedWeights(subject, {
      bits: [4],
      // Without a zero point it is 8 for all groups.
      zeros: ["pre_scale", "none"],
      multiples: () => [8, 8],
      dense: true,
    }),
  ],
  engines: enginesOf,
  parts: awqParts,
  *pack(weight, part) {
    yield packAwq(weight, part);
  },
  config: (subject, json) => ({ ...json, quantization_config: configOf(subject) }),
  recognizes: recognizesAwq,
  precision: (checkpoint) => Promise.resolve({ linears: precisionOf(checkpoint), kv: [] }),
  unpack: unpackAwq,
});

function configOf(subject: Subject): Record<string, unknown> {
  const { weights } = subject.linears.find(({ scheme }) => scheme)!.scheme!;
  const roles = denseRoles(subject);
  // Whole roles by the end of their name, single linears by all of it.
  const dense = [
    ...modulesOf(subject, roles),
    ...subject.linears
      .filter(({ scheme, role }) => !scheme && !roles.includes(role))
      .map(({ name }) => name),
    ...routersOf(subject.sites).map(({ name }) => name),
  ];
  return {
    quant_method: "awq",
    bits: 4,
    group_size: groupSize(weights),
    zero_point: true,
    version: "gemm",
    ...dense.length > 0 && { modules_to_not_convert: dense },
  };
}

function enginesOf({ linears }: Subject, { dtype }: FormatOptions): EngineUse[] {
  const quantized = linears.filter(({ scheme }) => scheme);
  const { weights } = quantized[0]!.scheme!;
  const size = groupSize(weights);
  const groups = [-1, 16, 32, 64, 128];
  const narrow = quantized.find(({ rows, columns }) => {
    const group = size < 0 ? columns : size;
    return group % 32 !== 0 || rows % group !== 0;
  });
  return [
    {
      engine: "transformers",
      command: 'AutoModelForCausalLM.from_pretrained("DIR")',
      limits: said([
        "needs the package gptqmodel",
        !groups.includes(size) && `takes no groups of ${size}, ${groupWords(groups)} alone`,
      ]),
    },
    {
      engine: "vllm",
      command: "vllm serve DIR",
      limits: said([
        !MARLIN_GROUPS.includes(size) &&
        `is slow with groups of ${size}: Marlin takes ${groupWords(MARLIN_GROUPS)} alone`,
        dtype === "bfloat16" && "rounds scales to bfloat16; dtype float16 keeps them",
      ]),
    },
    {
      engine: "autoawq",
      command: 'AutoAWQForCausalLM.from_quantized("DIR")',
      limits: said([
        narrow &&
        `its CUDA kernels want groups that are multiples of 32 and divide the outputs, which those of ${narrow.name} do not`,
      ]),
    },
  ];
}

/** AWQ's words hold eight outputs of an input, so scales are eight times as wide as words. */
function recognizesAwq(checkpoint: Pick<Checkpoint, "config" | "tensors">): boolean {
  const stated = statedQuantization(checkpoint);
  if (stated) return stated.quant_method === "awq" && stated.backend !== "llm-awq";
  return [...checkpoint.tensors.values()].some(({ name, dtype, shape }) => {
    if (!name.endsWith(".qweight") || dtype !== "I32") return false;
    const scales = checkpoint.tensors.get(name.replace(/qweight$/, "scales"));
    return scales?.shape[1] === 8 * shape[1]!;
  });
}

function precisionOf(checkpoint: Checkpoint): Readonly<Record<string, LinearScheme>> {
  const { path } = checkpoint;
  const stated = statedQuantization(checkpoint) ?? {};
  const version = String(stated.version ?? stated.format ?? "gemm").toLowerCase();
  if (version !== "gemm") {
    throw new TypeError(
      `Cannot read "${path}" as auto_awq: its quantization_config says version ${version}, expected gemm`,
    );
  }
  const bits = stated.bits ?? stated.w_bit ?? 4;
  if (bits !== 4) {
    throw new TypeError(
      `Cannot read "${path}" as auto_awq: its quantization_config says ${bits} bits, expected 4`,
    );
  }
  return Object.fromEntries(
    packedLinears(checkpoint).map((linear) => {
      const group = groupOf(linear, stated.group_size ?? stated.q_group_size);
      const { name, columns } = linear;
      if (group !== "row" && columns % group !== 0) {
        throw new RangeError(
          `Cannot read "${path}" as auto_awq: "${name}" has groups of ${group}, expected ones that divide ${columns} inputs`,
        );
      }
      return [name, { weights: { bits: 4, zero: "pre_scale", group, levels: 1 } }];
    }),
  );
}
