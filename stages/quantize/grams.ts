import type { Device } from "../../kernels/device/device.ts";
import { LayerWatch } from "../calibration/layer_watch.ts";
import type { Stats } from "../calibration/stats.ts";
import type { Checkpoint, StoredTensor } from "../formats/checkpoint.ts";
import { bytesOf } from "../formats/half.ts";
import { dtypeOf, type NamedValues } from "../formats/safetensors/file.ts";
import type { ModelFiles } from "../models/family.ts";
import { Model } from "../models/model.ts";
import type { ModelRecord } from "../models/model_record.ts";
import { expertTap, type SiteRole } from "../models/site.ts";
import type { StreamsOptions } from "../models/streams.ts";
import { Walk } from "../models/walk.ts";
import { inputsOf, type Seen } from "./expert_inputs.ts";
import { schemeKind } from "../quant/schemes.ts";
import type { QuantizeParams, SitePlan } from "./plan.ts";
import type { SiteInputs } from "./site.ts";

/** Where the Gram matrices of a layer's sites come from, layer after layer. */
export interface GramSource extends Disposable {
  /** Prepares a layer; layers come in order. */
  begin(layer: number, signal: AbortSignal): Promise<void>;
  /** What is known of the inputs of linears of the layer begun. */
  inputs(plan: Pick<SitePlan, "site" | "expert">): Promise<SiteInputs>;
  /** Says what the layer has become: tensors in place of those of the model. */
  end(tensors: ReadonlyMap<string, NamedValues>): Promise<void>;
}

/** What the Gram matrices of quantized layers rest on. */
export interface QuantizedGramsOptions {
  /** A model in full precision. */
  readonly files: ModelFiles;
  /** What `model.json` will say of the quantized one. */
  readonly record: ModelRecord;
  /** Samples to run; where there are none, no layer can be run. */
  readonly windows: readonly Uint32Array[] | undefined;
  /** Where their streams are kept. */
  readonly streams: Pick<StreamsOptions, "journal" | "spill">;
  /** What a layer became that an earlier run has quantized. */
  made(layer: number): Promise<ReadonlyMap<string, NamedValues>>;
}

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
    return quantizedGrams(device, { ...options, files, record, windows, sites });
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

/** Gram matrices of the inputs that a layer gets once all layers before it are quantized. */
function quantizedGrams(
  device: Device,
  { files, record, windows, sites, streams, made }: QuantizedGramsOptions & {
    readonly windows: readonly Uint32Array[];
    readonly sites: readonly SiteRole[];
  },
): GramSource {
  const { architecture, checkpoint } = files;
  using stack = new DisposableStack();
  const model = stack.use(Model.of(device, files, { weightBytes: 0 }));
  const owned = stack.move();
  let walk: Walk | undefined;
  let watch: LayerWatch | undefined;
  const seen: Seen = {
    gram: ({ role, expert: inside }, expert) => watch!.gram(role, expert ?? inside),
    tokens: ({ role }, expert) => watch!.tokens(role, expert),
  };
  const load = (layer: number, tensors: ReadonlyMap<string, NamedValues>) => {
    const changed = { architecture, record, checkpoint: replaced(checkpoint, tensors) };
    return architecture.family.load(device, changed, layer);
  };
  return {
    async begin(layer, signal) {
      walk ??= owned.use(
        await Walk.open(device, model, windows, { ...streams, from: layer }),
      );
      const passed = () => signal.throwIfAborted();
      // It begins further back only where the journal has no streams of this layer any more.
      await walk.reach(layer, {
        passed,
        replace: async (layer) => await load(layer, await made(layer)),
      });
      const seen = watch = new LayerWatch(device, architecture.layers[layer]!, {
        windows: windows.length,
        context: windows[0]!.length,
        gram: sites,
        rows: 0,
        attentionWindows: 0,
        magnitudes: false,
      });
      await walk.look({ passed, observe: (window) => seen.observe(window) });
    },
    inputs: (plan) => inputsOf(plan, seen),
    async end(tensors) {
      watch?.[Symbol.dispose]();
      watch = undefined;
      // Nobody asks for what the last layer makes of them.
      if (walk!.layer === architecture.layers.length - 1) return;
      await walk!.pass({ replace: (layer) => load(layer, tensors) });
    },
    [Symbol.dispose]() {
      watch?.[Symbol.dispose]();
      owned.dispose();
    },
  };
}

/** A checkpoint with some more tensors, held in memory. */
function replaced(
  checkpoint: Checkpoint,
  held: ReadonlyMap<string, NamedValues>,
): Checkpoint {
  const tensors = new Map<string, StoredTensor>(checkpoint.tensors);
  for (const [name, { shape, values }] of held) {
    tensors.set(name, { name, dtype: dtypeOf(values), shape, file: "memory" });
  }
  return {
    ...checkpoint,
    tensors,
    readRaw(name, rows) {
      const found = held.get(name);
      if (!found) return checkpoint.readRaw(name, rows);
      const bytes = bytesOf(found.values);
      const [all = 1] = found.shape;
      const { start, end } = rows ?? { start: 0, end: all };
      return Promise.resolve(bytes.slice(start * bytes.length / all, end * bytes.length / all));
    },
  };
}
