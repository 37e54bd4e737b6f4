import type { Checkpoint } from "../../formats/checkpoint.ts";
import { architectureOf } from "../../models/architecture.ts";
import type { Architecture } from "../../models/family.ts";
import { FORMATS } from "../find_format.ts";
import { dequantized } from "./dequantized.ts";
import { type Import, type ImportOptions, refuseProblems } from "./import.ts";
import { compareTensors } from "../tensor_rules.ts";
import { explainUnused, withBiases, withoutZeroBiases } from "../unused_tensors.ts";

/** Where `config.json` says that weights are quantized. */
const CLAIMS = ["quantization_config", "compression_config"] as const;

/** Tensors and element types in which other programs hold codes. */
const CODES =
  /\.(qweight|qzeros|weight_packed|weight_scale|weight_scale_inv|SCB|quant_state\.\w+)$/;
const FLOATS = /^(F32|F16|BF16)$/;

/**
 * Opens a checkpoint in full precision, or in codes that have no place in a model here and are read as
 * the values they stand for: float8, and those of bitsandbytes.
 *
 * One that says it is quantized but holds plain weights loses what it says, with a warning; one that
 * holds codes which no format reads is refused.
 */
export async function openPlain(
  stored: Checkpoint,
  { unused: fate = "refuse", useBiases = false }: ImportOptions = {},
): Promise<Import> {
  const claim = claimOf(stored.config);
  const values = dequantized(stored, architectureOf(stored.config));
  const plain = compared(values, claim ? withoutClaims(stored.config) : stored.config);
  const { checkpoint, config, architecture, problems, unexpected } = useBiases
    ? withDeniedBiases(plain)
    : plain;
  refuseUnreadable(checkpoint, architecture, claim);
  const unused = await withoutZeroBiases(checkpoint, unexpected);
  const told = explainUnused(unused, architecture);
  refuseProblems(checkpoint.path, [...fate === "refuse" ? told : [], ...problems]);
  const none = (name: string) => {
    throw new TypeError(`Cannot read codes of "${name}": the checkpoint is plain, expected codes`);
  };
  return {
    checkpoint,
    config,
    record: undefined,
    linears: {},
    parts: none,
    values: none,
    lineage: [],
    warnings: [
      ...checkpoint.notes ?? [],
      ...told.map((text) => `Not used: ${text}`),
      ...claim && values === stored
        ? [`config.json says ${claim}, but all weights are plain; they are taken as they are`]
        : [],
    ],
    [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
  };
}

/** What a checkpoint holds against what a config asks for. */
function compared(checkpoint: Checkpoint, config: unknown) {
  const { tensors } = checkpoint;
  const architecture = architectureOf(config);
  const rules = [...architecture.tensors].map(([name, shape]) => {
    // Whether values of a type can be read is told when they are.
    const dtypes = [tensors.get(name)?.dtype ?? ""];
    return [name, { shape, dtypes, optional: false }] as const;
  });
  const { problems, unexpected } = compareTensors(new Map(rules), tensors);
  const { ownHead, embeddings } = architecture;
  const headless = tensors.has(embeddings) && !tensors.has(ownHead);
  return {
    checkpoint,
    config,
    architecture,
    problems: headless
      ? problems.map((text) =>
        text === `tensor "${ownHead}" is missing`
          ? `${text}, expected a head or a config.json that ties it (tie_word_embeddings)`
          : text
      )
      : problems,
    unexpected,
  };
}

/**
 * The same with a config that has the biases of the file. Configs have them for all linears of a block
 * or for none, so those that the file lacks are zeros.
 */
function withDeniedBiases(
  { checkpoint, config, unexpected }: ReturnType<typeof compared>,
): ReturnType<typeof compared> {
  const biased = withBiases(config, unexpected);
  if (biased === config) return compared(checkpoint, config);
  const { tensors, read } = checkpoint;
  const added = new Map(
    [...architectureOf(biased).tensors]
      .filter(([name]) => name.endsWith(".bias") && !tensors.has(name))
      .map(([name, shape]) => [name, { name, dtype: "F32", shape, file: checkpoint.path }]),
  );
  const note = `biases are used that config.json denies${
    added.size > 0 ? `; ${added.size} that the file lacks are 0` : ""
  }`;
  return compared({
    ...checkpoint,
    tensors: new Map([...tensors, ...added]),
    notes: [...checkpoint.notes ?? [], note],
    async read(name, rows) {
      const shape = added.get(name)?.shape;
      if (shape === undefined) return await read(name, rows);
      return new Float32Array(rows ? rows.end - rows.start : shape[0]!);
    },
  }, biased);
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

/** Throws where a linear is stored in codes that nothing here reads. */
function refuseUnreadable(
  { path, tensors }: Checkpoint,
  { linears, tensors: expected }: Architecture,
  claim: string | undefined,
): void {
  const codes = [...tensors.keys()].find((name) => CODES.test(name));
  const found = codes ?? (claim && packedIn(tensors, { linears, tensors: expected }));
  if (found === undefined) return;
  throw new TypeError(
    `Cannot load "${path}": its "${found}" holds codes, quantized by ${
      claim ?? "a method that config.json does not name"
    }, expected plain weights, float8, codes of bitsandbytes or ${readable()}`,
  );
}

/** Of a checkpoint that says it is quantized, a weight that is no float, or what lies in its place. */
function packedIn(
  stored: Checkpoint["tensors"],
  { linears, tensors }: Pick<Architecture, "linears" | "tensors">,
): string | undefined {
  // The types of GGUF blocks are read as they are.
  const coded = [...tensors.keys()].find((name) => !FLOATS.test(stored.get(name)?.dtype ?? "F32"));
  if (coded !== undefined) return coded;
  const names = [...stored.keys()];
  for (const { name, weight, bias } of linears) {
    if (stored.has(weight)) continue;
    const instead = names.find((each) => each.startsWith(`${name}.`) && each !== bias);
    if (instead !== undefined) return instead;
  }
  return undefined;
}

function readable(): string {
  const names = Object.keys(FORMATS).filter((name) => name !== "huggingface");
  return names.length > 0 ? `a checkpoint in ${names.join(", ")}` : "an artifact of ours";
}
