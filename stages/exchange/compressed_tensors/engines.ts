import type { LinearRole } from "../../models/site.ts";
import type { LinearScheme } from "../../quant/schemes.ts";
import { wideScales } from "./layout.ts";
import { type EngineUse, type FormatOptions, said } from "../format.ts";
import { codedByWeight, type Subject } from "../subject.ts";

/** Linears that vLLM joins, which then need one scheme. */
const JOINED: readonly (readonly LinearRole[])[] = [["q", "k", "v"], ["gate", "up"]];
/** What shares a scale in packed weights that vLLM's commonest kernels for GPUs take. */
const GPU_GROUPS: readonly (number | string)[] = [32, 64, 128, "row", "tensor"];

type Linears = Pick<Subject, "linears" | "codedHead">;

/** The engines that read such an export, with what they run otherwise. */
export function compressedTensorsEngines(
  subject: Linears,
  { dtype }: Pick<FormatOptions, "dtype">,
): EngineUse[] {
  const rounds = dtype === "bfloat16"
    ? "it rounds scales to bfloat16, by up to 2^-9; export with dtype float16"
    : dtype === "float16" && has(subject, ({ weights }) => wideScales(weights)) &&
      "it rounds scales to half precision, by up to 2^-11: here they are products of two levels";
  return [vllm(subject, rounds), transformers(subject, rounds)];
}

/** By the sources of vLLM 0.33. */
function vllm(subject: Linears, rounds: string | false): EngineUse {
  const { linears, codedHead } = subject;
  const narrowInputs = has(subject, ({ weights, inputs }) => inputs && weights.bits < 8);
  const groups = new Set(
    linears.flatMap(({ scheme }) =>
      scheme && isPacked(scheme) && !GPU_GROUPS.includes(scheme.weights.group)
        ? [scheme.weights.group]
        : []
    ),
  );
  const split = splitJoin(subject);
  const uneven = linears.find(({ scheme, rows }) =>
    scheme && scheme.weights.zero !== "none" && rows * scheme.weights.bits % 32 !== 0
  );
  const limits = [
    rounds,
    narrowInputs &&
    "only its Humming kernel for NVIDIA GPUs takes 8-bit inputs beside narrower weights, the others leave inputs in floating point",
    !narrowInputs && has(subject, ({ weights }) => weights.bits < 4) &&
    "only its Humming kernel for NVIDIA GPUs takes 2 and 3 bits",
    groups.size > 0 &&
    `its kernels for GPUs take groups of 32, 64 or 128, this model has ${[...groups].join(", ")}`,
    split && `it joins linears of one scheme alone, here ${split} differ`,
    narrowInputs && codedHead &&
    "its Humming kernel has failed on a head in codes (its pull request 52543)",
    uneven && `it joins zero points in whole words, those of ${uneven.rows} outputs fill none`,
  ];
  return {
    engine: "vllm",
    command: `vllm serve DIR${narrowInputs ? " --linear-backend humming" : ""}`,
    limits: said(limits),
  };
}

/** By the sources of transformers 5.24 and compressed-tensors 0.20, and as they ran. */
function transformers(subject: Linears, rounds: string | false): EngineUse {
  // It holds packed zero points in tensors of another shape unless it dequantizes while it loads.
  const shifted = has(subject, (scheme) => isPacked(scheme) && scheme.weights.zero !== "none");
  const inputs = has(subject, ({ inputs }) => inputs);
  const experts = subject.linears.some(({ scheme, expert }) => scheme && expert !== undefined);
  const limits = [
    experts && "it reads no codes of experts, which it keeps in one tensor; vLLM does",
    rounds,
    "it multiplies codes and scales in the model's type, which rounds each weight",
    inputs && shifted &&
    "it leaves inputs in floating point where it dequantizes weights with zero points",
    inputs && !shifted &&
    "its codes of inputs go down to -128, and a token's scale is its largest / 127.5; here that is -127 and / 127",
  ];
  return {
    engine: "transformers",
    command: `AutoModelForCausalLM.from_pretrained("DIR"${
      shifted ? ", quantization_config=CompressedTensorsConfig(dequantize=True)" : ""
    })`,
    limits: said(limits),
  };
}

function has(subject: Linears, test: (scheme: LinearScheme) => unknown): boolean {
  return codedByWeight(subject).values().some(({ scheme }) => test(scheme));
}

function isPacked({ weights, inputs }: LinearScheme): boolean {
  return weights.bits < 8 || !inputs;
}

/** Two linears of one join that differ in scheme. */
function splitJoin({ linears }: Pick<Subject, "linears">): string | undefined {
  const at = new Map(linears.map((linear) => [`${linear.layer} ${linear.role}`, linear]));
  for (const { layer, role, scheme, name } of linears) {
    const other = JOINED.find(([first]) => first === role)
      ?.map((role) => at.get(`${layer} ${role}`)!)
      .find((other) => JSON.stringify(other.scheme) !== JSON.stringify(scheme));
    if (other) return `${name} and ${other.name}`;
  }
  return undefined;
}
