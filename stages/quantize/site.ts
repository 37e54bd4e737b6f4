import type { Device } from "../../kernels/device/device.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { release } from "../../kernels/device/release.ts";
import { assertFinite } from "../formats/rows.ts";
import type { NamedValues } from "../formats/safetensors/file.ts";
import type { LinearFacts } from "../models/model_record.ts";
import { ErrorSums } from "../quant/error_sums.ts";
import { type GptqFactor, type GptqFactorOptions, prepare } from "../quant/gptq_factor.ts";
import type { LinearOutline } from "../models/site.ts";
import { QuadraticForm } from "../quant/quadratic_form.ts";
import { quantizeWeight, type WeightMethod } from "../quant/quantize_weight.ts";
import type { RangeSearch } from "../quant/range_params.ts";
import { ScaleLosses } from "../quant/scale_losses.ts";
import type { LinearScheme } from "../quant/schemes.ts";
import { ShiftedTarget } from "../quant/shifted_target.ts";
import { quantizedPieces } from "./pieces.ts";
import { StoredPieces } from "./stored_pieces.ts";

/** How the linears of one site are quantized. */
export interface SiteMethod {
  readonly linears: readonly { readonly linear: LinearOutline; readonly scheme: LinearScheme }[];
  readonly range: WeightMethod["range"];
  /** Rows that share a scale, and whether GPTQ measures groups as it reaches them. */
  readonly share?: number;
  readonly along?: boolean;
  /** How the codes of GPTQ are improved. */
  readonly descent?: WeightMethod["descent"];
  /** Options of GPTQ; rounding to nearest where undefined. */
  readonly gptq: GptqFactorOptions | undefined;
  /** How weights are moved before they are rounded, where inputs are compared with exact ones. */
  readonly shift?: { readonly damping: number };
}

/** What calibration knows of the inputs of some linears. */
export interface SiteInputs {
  /** Sum of x x^T; undefined where an expert saw too few tokens for one. */
  readonly gram: Float32Array<ArrayBuffer> | undefined;
  /** Sum of x d^T, where d is what inputs of the exact model exceed x by; undefined where it is not known. */
  readonly cross?: Float32Array<ArrayBuffer>;
  /** Tokens that went to the expert the linears are of; undefined where they are of none. */
  readonly tokens?: number;
  /** Why these are not the inputs of the expert itself. */
  readonly tooFew?: string;
}

/** The tensors of quantized linears, and what they cost. */
export interface QuantizedSite {
  readonly tensors: ReadonlyMap<string, NamedValues>;
  readonly facts: Readonly<Record<string, LinearFacts>>;
}

/**
 * Quantizes the linears that share an input, factoring its Gram matrix once; of each so many `values` at a
 * time, or all where its rows hang together. In which pieces they come changes nothing.
 *
 * Where the matrix cannot be factored, or an expert has none, they are rounded to nearest and their
 * facts say why.
 */
export async function quantizeSite(
  device: Device,
  checkpoint: Checkpoint,
  method: SiteMethod,
  { known, values: most }: { readonly known: SiteInputs | undefined; readonly values: number },
): Promise<QuantizedSite> {
  const { linears, gptq } = method;
  const { gram, cross, tokens, tooFew } = known ?? {};
  // A search without a Gram matrix is one for the weights themselves.
  const alone = known && !gram && typeof method.range === "object";
  const range = alone
    ? { ...method.range as RangeSearch, objective: "tensor" as const }
    : method.range;
  const { name, columns } = linears[0]!.linear;
  if (gram) assertFinite(gram, "Gram matrix", name);
  const factored = gptq && gram ? await tryFactor(device, gram, { ...gptq, columns }) : undefined;
  using factor = factored?.factor;
  const fallback = factored?.fallback ?? (gptq && !gram ? tooFew : undefined);
  using form = gram && new QuadraticForm(device, gram, { columns });
  // What cannot be factored has no inputs to compare.
  using target = method.shift && gram && cross && factored?.fallback === undefined
    ? await ShiftedTarget.open(device, { gram, cross, columns }, method.shift)
    : undefined;
  const tensors = new Map<string, NamedValues>();
  const facts: Record<string, LinearFacts> = {};
  const inputs = gram && form && { gram, form, ...factor && { factor } };
  const { share = 1, along = false, descent } = method;
  for (const { linear, scheme: { weights } } of linears) {
    const { name, weight, columns } = linear;
    const rounding = { scheme: weights, range, share, along, descent };
    const losses = new ScaleLosses(weights);
    const sums = new ErrorSums();
    const made = new StoredPieces(linear, weights);
    for (const rows of quantizedPieces(linear, weights, { ...method, range }, most)) {
      const values = await checkpoint.read(weight, rows);
      const { file } = checkpoint.tensors.get(weight)!;
      assertFinite(values, weight, file, rows);
      const piece = { rows: rows.end - rows.start, columns, values };
      losses.add(piece);
      const matrix = await target?.of(piece) ?? piece;
      made.add(rows, await quantizeWeight(device, matrix, rounding, { inputs, sums }));
      release(values);
    }
    losses.finish(name);
    for (const [name, tensor] of made.tensors) tensors.set(name, tensor);
    const { weightError, outputError, rtnRows } = sums;
    facts[name] = {
      method: factor ? "gptq" : "rtn",
      weightError,
      ...outputError !== undefined && { outputError },
      ...rtnRows !== undefined && { rtnRows },
      ...factor && { damping: factor.damping },
      ...fallback !== undefined && { fallback },
      ...tokens !== undefined && { tokens },
      ...gram && tooFew !== undefined && { statistics: "layer" as const },
    };
  }
  return { tensors, facts };
}

async function tryFactor(
  device: Device,
  gram: Float32Array<ArrayBuffer>,
  options: GptqFactorOptions & { readonly columns: number },
): Promise<{ readonly factor?: GptqFactor; readonly fallback?: string }> {
  const dead = (value: number, at: number) => at % (options.columns + 1) !== 0 || !(value > 0);
  if (gram.length > 0 && gram.every(dead)) {
    return { fallback: "no activation reached it in calibration" };
  }
  try {
    return { factor: await prepare(device, gram, options) };
  } catch (error) {
    if (error instanceof RangeError) return { fallback: error.message };
    throw error;
  }
}
