import type { Device } from "../../kernels/device/device.ts";
import type { Stats } from "../calibration/stats.ts";
import type { ModelFiles } from "../models/family.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { expertTap } from "../models/site.ts";
import { schemeKind } from "../quant/schemes.ts";
import { inputsOf, type Seen } from "./expert_inputs.ts";
import type { QuantizeParams } from "./params.ts";
import type { SitePlan } from "./plan.ts";
import { type GramSource, quantizedGrams, type QuantizedGramsOptions } from "./quantized_grams.ts";

/** Opens what gives the Gram matrices, where they are needed or at hand. */
export function openGrams(
  device: Device,
  { params, stats, plans }: {
    readonly params: QuantizeParams;
    readonly stats: Stats | undefined;
    readonly plans: readonly SitePlan[];
  },
  { windows, ...options }: QuantizedGramsOptions,
): GramSource | undefined {
  const { inputs, method, range } = params;
  if (inputs !== "original") {
    if (inputs === "weights" && schemeKind(params.weights) === "two_level") {
      throw new TypeError(
        "Cannot quantize from inputs behind quantized weights alone: weights of two levels run on quantized inputs only, expected levels 1; or set inputs to quantized",
      );
    }
    const rounded = inputs === "codes" && roundedInputs(options.record);
    if (!windows) {
      throw new TypeError(
        "Cannot quantize from inputs of quantized layers: there are no tokens to run, expected them; feed tokens or set inputs to original",
      );
    }
    const sites = [...new Set(plans.map(({ site }) => site.role))];
    const record = inputs === "weights" ? withoutInputs(options.record) : options.record;
    const files = { ...options.files, ...rounded && { rounded } };
    const { shift } = params;
    const exact = shift && options.files;
    return quantizedGrams(device, { ...options, files, exact, record, windows, sites });
  }
  if (stats?.record.gram) return statsGrams(stats);
  const need = method === "gptq"
    ? "by GPTQ"
    : range && range.objective !== "tensor"
    ? `with ranges searched by ${range.objective}`
    : undefined;
  if (need === undefined) return undefined;
  throw new TypeError(
    `Cannot quantize ${need}: there ${
      stats ? "is no Gram matrix in the stats" : "are no stats"
    }, expected those of a calibrate step with gram: true`,
  );
}

/** The inputs of linears that are quantized. */
function roundedInputs({ linears }: ModelRecord): NonNullable<ModelFiles["rounded"]> {
  const all = Object.entries(linears)
    .flatMap(([name, { inputs }]) => inputs ? [[name, inputs] as const] : []);
  if (all.length > 0) return Object.fromEntries(all);
  throw new TypeError(
    "Cannot quantize from codes of inputs: inputs are not quantized, expected activations dynamic or static; or set inputs to weights",
  );
}

/** The same, with the inputs of linears in full precision. */
function withoutInputs(record: ModelRecord): ModelRecord {
  const linears = Object.entries(record.linears).map(([name, { weights }]) => [name, { weights }]);
  return { ...record, linears: Object.fromEntries(linears) };
}

/** Gram matrices that a calibrate step took from the full-precision model. */
function statsGrams(stats: Stats): GramSource {
  const seen: Seen = {
    gram: ({ layer, name }, expert) => stats.gram(layer, name, expert),
    tokens({ layer, name, expert: inside }, expert) {
      return stats.tokens(layer, inside === undefined ? expertTap(name, expert) : name);
    },
  };
  return {
    begin: () => Promise.resolve(),
    inputs: (plan) => inputsOf(plan, seen),
    end: () => Promise.resolve(),
    [Symbol.dispose]() {},
  };
}
