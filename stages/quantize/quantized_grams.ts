import type { Device } from "../../kernels/device/device.ts";
import { LayerWatch } from "../calibration/layer_watch.ts";
import type { Checkpoint, StoredTensor } from "../formats/checkpoint.ts";
import { bytesOf } from "../formats/half.ts";
import { dtypeOf, type NamedValues } from "../formats/safetensors/file.ts";
import type { ModelFiles } from "../models/family.ts";
import { Model } from "../models/model.ts";
import type { ModelRecord } from "../models/model_record.ts";
import type { SiteRole } from "../models/site.ts";
import type { StreamsOptions } from "../models/streams.ts";
import { Walk } from "../models/walk.ts";
import { inputsOf, type Seen } from "./expert_inputs.ts";
import type { SitePlan } from "./plan.ts";
import { ShiftWatch } from "./shift_watch.ts";
import type { SiteInputs } from "./site.ts";

/** Where the Gram matrices of a layer's sites come from, layer after layer. */
export interface GramSource extends Disposable {
  /** Prepares a layer; layers come in order. */
  begin(layer: number, signal: AbortSignal): Promise<void>;
  /** What is known of the inputs of linears of the layer begun; `made` of it are the tensors so far. */
  inputs(
    plan: Pick<SitePlan, "site" | "expert">,
    made: ReadonlyMap<string, NamedValues>,
    signal: AbortSignal,
  ): Promise<SiteInputs>;
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

/** Gram matrices of the inputs that a layer gets once all layers before it are quantized. */
export function quantizedGrams(
  device: Device,
  { files, exact, record, windows, sites, streams, made }: QuantizedGramsOptions & {
    readonly windows: readonly Uint32Array[];
    readonly sites: readonly SiteRole[];
    /** The model whose own inputs are compared with those; none are unless said. */
    readonly exact: ModelFiles | undefined;
  },
): GramSource {
  const { architecture, checkpoint } = files;
  using stack = new DisposableStack();
  const model = stack.use(Model.of(device, files, { weightBytes: 0 }));
  const owned = stack.move();
  let walk: Walk | undefined;
  let watch: LayerWatch | undefined;
  let shifts: ShiftWatch | undefined;
  const count = windows.length;
  // Every window as the exact model has it, and behind it as the layers quantized so far do.
  const texts = exact ? [...windows, ...windows] : windows;
  const order = exact && { windows: windows.flatMap((_, at) => [count + at, at]) };
  const apart = exact && {
    apart: {
      has: (window: number) => window >= count,
      layer: (layer: number) => architecture.family.load(device, unrounded(exact), layer),
    },
  };
  const seen: Seen = {
    gram: ({ role, expert: inside }, expert) => watch!.gram(role, expert ?? inside),
    tokens: ({ role }, expert) => watch!.tokens(role, expert),
  };
  const load = (layer: number, tensors: ReadonlyMap<string, NamedValues>) => {
    const changed = {
      architecture,
      record: { ...record, linears: linearsOf(record, tensors) },
      checkpoint: replaced(checkpoint, tensors),
    };
    return architecture.family.load(device, changed, layer);
  };
  const watchOf = (layer: number, gram: readonly SiteRole[]) =>
    new LayerWatch(device, architecture.layers[layer]!, {
      windows: windows.length,
      context: windows[0]!.length,
      gram,
      rows: 0,
      attentionWindows: 0,
      magnitudes: false,
    });
  const forget = () => {
    for (const one of [watch, shifts]) one?.[Symbol.dispose]();
    watch = shifts = undefined;
  };
  let compared: SiteRole | undefined;
  /** Looks at a site's inputs in both models; those of one site change with the weights of those before. */
  const compare = async (
    role: SiteRole,
    made: ReadonlyMap<string, NamedValues>,
    signal: AbortSignal,
  ) => {
    if (compared === role) return;
    forget();
    compared = role;
    const [seen, both] = [watchOf(walk!.layer, [role]), new ShiftWatch(device, role)];
    [watch, shifts] = [seen, both];
    await walk!.look({
      ...apart,
      ...made.size > 0 && { replace: (layer: number) => load(layer, made) },
      until: role,
      passed: () => signal.throwIfAborted(),
      observe(window) {
        if (window >= count) return both.exact();
        const [observe, difference] = [seen.observe(window), both.quantized()];
        return (tap, x, rows) => {
          observe(tap, x, rows);
          difference(tap, x, rows);
        };
      },
    });
  };
  return {
    async begin(layer, signal) {
      walk ??= owned.use(
        await Walk.open(device, model, texts, { ...streams, ...order, from: layer }),
      );
      const passed = () => signal.throwIfAborted();
      // It begins further back only where the journal has no streams of this layer any more.
      await walk.reach(layer, {
        ...apart,
        passed,
        replace: async (layer) => await load(layer, await made(layer)),
      });
      if (exact) return;
      const seen = watch = watchOf(layer, sites);
      await walk.look({ passed, observe: (window) => seen.observe(window) });
    },
    async inputs(plan, made, signal) {
      if (exact) await compare(plan.site.role, made, signal);
      const inputs = await inputsOf(plan, seen);
      const cross = await shifts?.cross();
      return { ...inputs, ...cross && { cross } };
    },
    async end(tensors) {
      forget();
      compared = undefined;
      // Nobody asks for what the last layer makes of them.
      if (walk!.layer === architecture.layers.length - 1) return;
      await walk!.pass({ ...apart, replace: (layer) => load(layer, tensors) });
    },
    [Symbol.dispose]() {
      forget();
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

/** The linears whose codes are among tensors. */
function linearsOf(
  { linears }: ModelRecord,
  tensors: ReadonlyMap<string, NamedValues>,
): ModelRecord["linears"] {
  const coded = Object.entries(linears).filter(([name]) => tensors.has(`${name}.codes`));
  return Object.fromEntries(coded);
}

/** The same model with keys and values as they are. */
function unrounded({ checkpoint, record, architecture }: ModelFiles): ModelFiles {
  return { checkpoint, architecture, record: { ...record, kv: [] } };
}
