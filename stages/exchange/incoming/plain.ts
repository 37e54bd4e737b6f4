import type { Checkpoint } from "../../formats/checkpoint.ts";
import { architectureOf } from "../../models/architecture.ts";
import { FORMATS } from "../find_format.ts";
import { type Import, refuseProblems } from "./import.ts";
import { compareTensors } from "../tensor_rules.ts";

/** Where `config.json` says that weights are quantized. */
const CLAIMS = ["quantization_config", "compression_config"] as const;

/** Tensors and element types in which other programs hold codes. */
const CODES =
  /\.(qweight|qzeros|weight_packed|weight_scale|weight_scale_inv|SCB|quant_state\.\w+)$/;
const FLOATS = /^(F32|F16|BF16)$/;

/**
 * Opens a checkpoint in full precision.
 *
 * One that says it is quantized but holds plain weights loses what it says, with a warning; one that
 * holds codes which no format reads is refused.
 */
export function openPlain(checkpoint: Checkpoint): Import {
  const { tensors: expected } = architectureOf(checkpoint.config);
  const claim = claimOf(checkpoint.config);
  refuseUnreadable(checkpoint, expected.keys(), claim);
  const rules = [...expected].map(([name, shape]) => {
    // Whether values of a type can be read is told when they are.
    const dtypes = [checkpoint.tensors.get(name)?.dtype ?? ""];
    return [name, { shape, dtypes, optional: false }] as const;
  });
  refuseProblems(checkpoint.path, compareTensors(new Map(rules), checkpoint.tensors).problems);
  const none = (name: string) => {
    throw new TypeError(`Cannot read codes of "${name}": the checkpoint is plain, expected codes`);
  };
  return {
    checkpoint,
    config: claim ? withoutClaims(checkpoint.config) : checkpoint.config,
    record: undefined,
    linears: {},
    parts: none,
    values: none,
    lineage: [],
    warnings: [
      ...checkpoint.notes ?? [],
      ...claim
        ? [`config.json says ${claim}, but all weights are plain; they are taken as they are`]
        : [],
    ],
    [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
  };
}

/** `config.json` without what it says of quantization. */
function withoutClaims(config: unknown): Record<string, unknown> {
  const { quantization_config: _, compression_config: __, ...rest } = config as Record<
    string,
    unknown
  >;
  return rest;
}

/** How a config says that its weights are quantized; undefined where it does not. */
function claimOf(config: unknown): string | undefined {
  const json = config as Readonly<Record<string, unknown>>;
  const key = CLAIMS.find((key) => json[key] !== undefined && json[key] !== null);
  if (key === undefined) return undefined;
  const { quant_method: method } = Object(json[key]) as { readonly quant_method?: unknown };
  return `quant_method ${typeof method === "string" ? JSON.stringify(method) : "unknown"}`;
}

function refuseUnreadable(
  { path, tensors }: Checkpoint,
  expected: Iterable<string>,
  claim: string | undefined,
): void {
  const codes = [...tensors.keys()].find((name) => CODES.test(name));
  const packed = [...expected].find((name) => {
    const dtype = tensors.get(name)?.dtype;
    // The types of GGUF blocks are read as they are.
    return dtype !== undefined && claim !== undefined && !FLOATS.test(dtype);
  });
  const found = codes ?? packed;
  if (found === undefined) return;
  throw new TypeError(
    `Cannot load "${path}": its "${found}" holds codes, quantized by ${
      claim ?? "a method that config.json does not name"
    }, expected plain weights or ${readable()}`,
  );
}

function readable(): string {
  const names = Object.keys(FORMATS).filter((name) => name !== "huggingface");
  return names.length > 0 ? `a checkpoint in ${names.join(", ")}` : "an artifact of ours";
}
