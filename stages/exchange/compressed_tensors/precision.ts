import { PLAIN } from "../../models/model_record.ts";
import { INPUT_CODES } from "../../../kernels/codes/quantizer.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { InputScheme, LinearScheme, WeightScheme } from "../../quant/schemes.ts";
import { claimRefusal, type LinearClaim, type QuantizationArgs, readClaims } from "./claims.ts";
import type { CompressedLayout } from "./layout.ts";
import { factorsOf } from "./scales.ts";
import { readPart } from "../part_values.ts";
import type { LinearOutline } from "../../models/site.ts";
import { subjectOf } from "../subject.ts";

/** Precision of a linear in a checkpoint, and how it is stored there. */
export interface CompressedLinear {
  readonly scheme: LinearScheme;
  readonly layout: CompressedLayout;
}

/** Rows by which scales are judged. */
const SAMPLE = 16;
const FORMATS = ["pack-quantized", "int-quantized", "naive-quantized"];

/** Precision and storage of the quantized linears of a checkpoint, whoever wrote it. */
export async function readStoredLinears(
  checkpoint: Checkpoint,
): Promise<ReadonlyMap<string, CompressedLinear>> {
  const { path, config } = checkpoint;
  const { linears, head, config: { tied } } = subjectOf({ config, record: PLAIN });
  const claims = readClaims(config, { path, names: linears.map(({ name }) => name) });
  const stored = new Map<string, CompressedLinear>();
  for (const linear of linears) {
    const claim = claims.get(linear.name);
    if (claim) stored.set(linear.name, await storedLinear(checkpoint, linear, claim));
  }
  const [own] = head.linears;
  if (!tied && hasCodes(checkpoint, own.name)) {
    const claim = readClaims(config, { path, names: [own.name] }).get(own.name);
    if (claim) stored.set(own.name, await storedLinear(checkpoint, own, claim));
  }
  return stored;
}

/** Whether a head is stored in codes: many claims of all linears mean none but those of layers. */
function hasCodes({ tensors }: Checkpoint, name: string): boolean {
  return tensors.has(`${name}.weight_packed`) || tensors.get(`${name}.weight`)?.dtype === "I8";
}

async function storedLinear(
  checkpoint: Checkpoint,
  linear: LinearOutline,
  claim: LinearClaim,
): Promise<CompressedLinear> {
  const { group, weights: args, format } = claim;
  const { path } = checkpoint;
  const at = `its group ${group}`;
  if (!FORMATS.includes(format)) {
    throw claimRefusal(path, `${at} has the format ${format}`, FORMATS.join(" or "));
  }
  const packed = format === "pack-quantized";
  const weights = weightsOf(args, { path, at, columns: linear.columns });
  const inputs = claim.inputs &&
    await inputsOf(claim.inputs, { checkpoint, at, name: linear.name });
  // Older files keep a byte a zero point beside packed codes.
  const byteZeros = checkpoint.tensors.get(`${linear.name}.weight_zero_point`)?.dtype === "I8";
  const layout: CompressedLayout = {
    codes: packed ? "packed" : "bytes",
    scales: strategyOf(args) === "tensor" ? "tensor" : "rows",
    zeros: weights.zero === "none" ? "none" : packed && !byteZeros ? "packed" : "bytes",
  };
  const scheme = { weights, ...inputs && { inputs } };
  const nested = await isNested(checkpoint, linear, scheme);
  const found: WeightScheme = nested
    ? { ...weights, levels: 2 }
    : weights.group === linear.columns
    ? { ...weights, group: "row" }
    : weights;
  return { scheme: { ...scheme, weights: found }, layout };
}

function weightsOf(
  args: QuantizationArgs,
  { path, at, columns }: {
    readonly path: string;
    readonly at: string;
    readonly columns: number;
  },
): WeightScheme {
  const { num_bits: bits, type, symmetric, dynamic, group_size: size } = args;
  if (type !== "int" || (bits !== 2 && bits !== 3 && bits !== 4 && bits !== 8) || dynamic) {
    const is = `${at} has weights of ${dynamic ? "dynamic " : ""}${type}${bits}`;
    throw claimRefusal(path, is, "int2, int3, int4 or int8");
  }
  const strategy = strategyOf(args);
  if (strategy === "group" && !(size! > 0 && columns % size! === 0)) {
    throw claimRefusal(path, `${at} has groups of ${size}`, `what divides ${columns} inputs`);
  }
  const group = strategy === "group" ? size! : strategy === "channel" ? "row" : "tensor";
  if (strategy === "group" || strategy === "channel" || strategy === "tensor") {
    return { bits, zero: symmetric ? "none" : "pre_scale", group, levels: 1 };
  }
  throw claimRefusal(path, `${at} has weights by ${strategy}`, "group, channel or tensor");
}

/** What shares a scale; told by the size of a group where it is not said, as by the library. */
function strategyOf({ strategy, group_size: size }: QuantizationArgs): string {
  if (strategy) return strategy;
  if (size === undefined || size === null) return "tensor";
  return size === -1 ? "channel" : "group";
}

async function inputsOf(
  args: QuantizationArgs,
  { checkpoint, at, name }: {
    readonly checkpoint: Checkpoint;
    readonly at: string;
    readonly name: string;
  },
): Promise<InputScheme> {
  const { num_bits: bits, type, symmetric, dynamic } = args;
  const strategy = strategyOf(args);
  const way = `${dynamic ? "dynamic" : "static"} ${strategy}`;
  if (
    bits !== 8 || type !== "int" || !symmetric ||
    !["dynamic token", "static tensor"].includes(way)
  ) {
    throw claimRefusal(
      checkpoint.path,
      `${at} has ${symmetric ? "" : "asymmetric "}inputs of ${type}${bits} by ${way}`,
      "symmetric int8 by dynamic token or static tensor",
    );
  }
  if (dynamic) return { bits, range: "dynamic" };
  const tensor = `${name}.input_scale`;
  const [scale] = await readPart(checkpoint, tensor) ?? [];
  // That it is missing is found where the names of tensors are compared.
  if (scale === undefined) return { bits, range: 1 };
  const size = Number(scale);
  if (size > 0 && size < Infinity) return { bits, range: size * INPUT_CODES.high };
  throw claimRefusal(checkpoint.path, `tensor "${tensor}" is ${size}`, "a scale above 0");
}

/**
 * Whether group scales are exact products of one f16 value a row and small integers, as two-level
 * weights here have them: judged by some rows, which groups of one level do not pass by chance.
 */
async function isNested(
  checkpoint: Checkpoint,
  { name, rows, columns }: LinearOutline,
  { weights: { bits, group }, inputs }: LinearScheme,
): Promise<boolean> {
  const tensor = checkpoint.tensors.get(`${name}.weight_scale`);
  if (!tensor || typeof group !== "number" || bits === 8) return false;
  const wide = tensor.dtype === "F32";
  const groups = columns / group;
  if (String(tensor.shape) !== `${rows},${groups}` || !(wide || inputs && groups > 1)) return false;
  const values = await checkpoint.read(
    tensor.name,
    { start: 0, end: groups === 1 ? rows : Math.min(rows, SAMPLE) },
  );
  // One scale a row is of one level wherever half precision holds it.
  if (groups === 1 && values.every((value) => Math.f16round(value) === value)) return false;
  for (let at = 0; at < values.length; at += groups) {
    if (!factorsOf(values.subarray(at, at + groups))) return false;
  }
  return true;
}
