import { codedByWeight, type Subject } from "./subject.ts";

/** Kinds of processors that engines have kernels for. */
type Platform = "cuda" | "rocm" | "arm" | "x86";

/** What a kernel has to run on: of NVIDIA also the compute capability, such as 9 for Hopper. */
interface Processor {
  readonly platform: Platform;
  readonly capability?: number;
}

/** A kernel for linears in codes. */
interface EngineKernel {
  readonly engine: string;
  readonly name: string;
  /** Bits of codes that it takes. */
  readonly weights: readonly number[];
  /** Bits of inputs: 16 stands for floating point. */
  readonly inputs: readonly number[];
  readonly platform: Platform;
  /** Compute capabilities of NVIDIA: the first, and the last where there is one. */
  readonly from?: number;
  readonly to?: number;
  /** The package it comes in, where that is not the engine's own. */
  readonly package?: string;
  /** Where that is written. */
  readonly source: string;
}

/** Data sheets of processors by name: architectures and NVIDIA's compute capabilities. */
const PROCESSORS: Readonly<Record<string, Processor>> = {
  v100: { platform: "cuda", capability: 7 },
  t4: { platform: "cuda", capability: 7.5 },
  rtx2080: { platform: "cuda", capability: 7.5 },
  a100: { platform: "cuda", capability: 8 },
  a10: { platform: "cuda", capability: 8.6 },
  a40: { platform: "cuda", capability: 8.6 },
  rtx3090: { platform: "cuda", capability: 8.6 },
  l4: { platform: "cuda", capability: 8.9 },
  l40s: { platform: "cuda", capability: 8.9 },
  rtx4090: { platform: "cuda", capability: 8.9 },
  h100: { platform: "cuda", capability: 9 },
  h200: { platform: "cuda", capability: 9 },
  b200: { platform: "cuda", capability: 10 },
  rtx5090: { platform: "cuda", capability: 12 },
  mi300x: { platform: "rocm" },
  arm: { platform: "arm" },
  x86: { platform: "x86" },
};

const VLLM = "vllm-project/vllm, vllm/model_executor/kernels/linear/__init__.py at 006fc89";
const VLLM_DOCS = "vLLM's page on supported hardware at 01129ff";

/**
 * The kernels that engines have for linears in codes. Where an engine is not named here, nothing is
 * known; where it is, there are no others.
 */
const KERNELS: readonly EngineKernel[] = [
  vllm("Marlin", [4, 8], [16], { from: 7.5, source: `${VLLM}, mixed_precision/marlin.py` }),
  vllm("Machete", [4, 8], [16], { from: 9, to: 9, source: `${VLLM}, mixed_precision/machete.py` }),
  vllm("CUTLASS and Triton, int8", [8], [8], { from: 7.5, source: VLLM_DOCS }),
  vllm("Humming", [2, 3, 4, 5, 6, 7, 8], [8, 16], {
    from: 7.5,
    package: "humming-kernels",
    source: `${VLLM}, compressed_tensors_wNa8.py, and requirements/cuda.txt at 009d524`,
  }),
  vllm("Triton W4A16", [4], [16], { platform: "rocm", source: VLLM }),
  vllm("AITER and Triton, int8", [8], [8], { platform: "rocm", source: VLLM }),
  vllm("KleidiAI", [4], [8], {
    platform: "arm",
    source: `${VLLM}, mixed_precision/dynamic_4bit.py; its page on W4A8 at fb73c46`,
  }),
  vllm("CPU W4A16", [4, 8], [16], { platform: "x86", source: VLLM }),
  vllm("CPU int8", [8], [8], { platform: "x86", source: VLLM_DOCS }),
  {
    engine: "qserve",
    name: "QServe W4A8 and W8A8",
    weights: [4, 8],
    inputs: [8],
    platform: "cuda",
    from: 8,
    source: "arXiv 2405.04532, section 6: A100 and L40S",
  },
  {
    engine: "autoawq",
    name: "AWQ",
    weights: [4],
    inputs: [16],
    platform: "cuda",
    from: 7.5,
    source: "casper-hansen/AutoAWQ, README at 2edb3f6",
  },
];

function vllm(
  name: string,
  weights: readonly number[],
  inputs: readonly number[],
  { platform = "cuda", ...rest }:
    & Pick<EngineKernel, "source">
    & Partial<Pick<EngineKernel, "platform" | "from" | "to" | "package">>,
): EngineKernel {
  return { engine: "vllm", name, weights, inputs, platform, ...rest };
}

/** What an engine has kernels for on a processor. */
export interface KernelJudgement {
  /** A line about each precision that has some: `int4 x int8: Humming`. */
  readonly found: readonly string[];
  /** A sentence about each precision that has none. */
  readonly missing: readonly string[];
  /** A sentence about each precision whose kernels are all of packages beside the engine. */
  readonly warnings: readonly string[];
}

/** The name of a processor as the table has it; throws where it has none. */
export function findProcessor(word: string): string {
  const plain = word.toLowerCase().replaceAll(/^(nvidia|geforce|amd|instinct)|[ _-]/g, "");
  if (Object.hasOwn(PROCESSORS, plain)) return plain;
  throw new TypeError(
    `Cannot check for "${word}": no such processor is in the table of engines' kernels, expected one of ${
      Object.keys(PROCESSORS).join(", ")
    }`,
  );
}

/** Which kernels of an engine run the codes of a model on a processor of the table. */
export function judgeKernels(
  engine: string,
  processor: string,
  subject: Pick<Subject, "linears" | "codedHead">,
): KernelJudgement {
  const { platform, capability = 0 } = PROCESSORS[processor]!;
  const known = KERNELS.filter((kernel) => kernel.engine === engine);
  const schemes = codedByWeight(subject).values()
    .map(({ scheme: { weights, inputs } }) => [weights.bits, inputs?.bits ?? 16] as const);
  const pairs = new Map([...schemes].map((pair) => [String(pair), pair]));
  const found: string[] = [];
  const missing: string[] = [];
  const warnings: string[] = [];
  if (known.length === 0) {
    warnings.push(`what ${engine} has kernels for on ${processor} is not in the table`);
  }
  for (const [bits, inputs] of known.length === 0 ? [] : pairs.values()) {
    const words = precisionPair(bits, inputs);
    const fitting = known.filter((kernel) =>
      kernel.platform === platform && kernel.weights.includes(bits) &&
      kernel.inputs.includes(inputs) && (kernel.from ?? 0) <= capability &&
      capability <= (kernel.to ?? Infinity)
    );
    const own = fitting.filter((kernel) => kernel.package === undefined);
    if (fitting.length > 0) {
      found.push(`${words}: ${fitting.map(({ name }) => name).join(", ")}`);
    } else {
      const others = known.filter((kernel) =>
        kernel.weights.includes(bits) && kernel.inputs.includes(inputs)
      );
      const elsewhere = others.map(({ name, ...rest }) => `${name} on ${placeOf(rest)}`);
      const expected = elsewhere.length > 0 ? elsewhere.join(", ") : "another precision";
      missing.push(`${engine} has no kernel for ${words} on ${processor}, expected ${expected}`);
    }
    if (fitting.length > 0 && own.length === 0) {
      const packages = [...new Set(fitting.map((kernel) => kernel.package))].join(", ");
      warnings.push(
        `${engine} has no kernel of its own for ${words} on ${
          platform === "cuda" ? "CUDA" : processor
        }; it needs the package ${packages}`,
      );
    }
  }
  return { found, missing, warnings };
}

function precisionPair(bits: number, inputs: number): string {
  return `int${bits} x ${inputs === 16 ? "floating point" : `int${inputs}`}`;
}

function placeOf({ platform, from, to }: Pick<EngineKernel, "platform" | "from" | "to">): string {
  if (platform !== "cuda") return platform;
  return `NVIDIA's compute capability ${from}${to === undefined ? " and above" : ""}`;
}
