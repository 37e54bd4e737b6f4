import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { rmsNorm, rope } from "../../kernels/mod.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { attend, type AttentionForm, type Sequence } from "./attend.ts";
import type { DecoderConfig, LinearRole, Site } from "./family.ts";
import type { AttentionTap } from "./lineage.ts";
import { type Linear, loadLinears } from "./linear.ts";
import type { ModelRecord } from "./model_record.ts";
import { linearName, normName } from "./names.ts";
import { ropeAngles } from "./rope_angles.ts";
import {
  gatedInput,
  normInput,
  openSiteForm,
  type SiteForm,
  type SiteInput,
  siteInput,
} from "./site_input.ts";
import { loadVector } from "./weight.ts";

/** Where a layer reads an activation to feed linears. */
export type LayerSite = Exclude<Site["role"], "head">;

/** The linears of each site, which take the same input and run as one. */
export const SITES: Readonly<Record<LayerSite, readonly LinearRole[]>> = {
  "attention.in": ["q", "k", "v"],
  "attention.out": ["o"],
  "mlp.in": ["gate", "up"],
  "mlp.out": ["down"],
};

/** The weights of one layer on the device, in whatever precision. */
export interface Layer extends Disposable {
  readonly linears: Readonly<Record<LayerSite, Linear>>;
  readonly sites: Readonly<Record<LayerSite, SiteForm>>;
  readonly attentionGain: TensorRef;
  readonly mlpGain: TensorRef;
  readonly attention: AttentionForm;
}

/** What is told of a layer at work: a site's input, or queries, keys (rotated) and values. */
export type Observe = (tap: LayerSite | AttentionTap, x: TensorRef) => void;

/** How a layer attends: queries, keys and values to f32 [tokens, heads * head size]. */
export type Attend = (device: Device, sequence: Sequence, form: AttentionForm) => Tensor;

/** Reads one layer onto the device. */
export async function loadLayer(
  device: Device,
  checkpoint: Checkpoint,
  model: { readonly config: DecoderConfig; readonly record: ModelRecord },
  layer: number,
): Promise<Layer> {
  const { config, record } = model;
  using stack = new DisposableStack();
  const linears: Partial<Record<LayerSite, Linear>> = {};
  const sites: Partial<Record<LayerSite, SiteForm>> = {};
  for (const [site, roles] of Object.entries(SITES) as [LayerSite, readonly LinearRole[]][]) {
    const stored = roles.map((role) => {
      const name = linearName(layer, role);
      return { name, scheme: record.linears[name], bias: config.biases.includes(role) };
    });
    linears[site] = stack.use(await loadLinears(device, checkpoint, stored));
    const inputs = stored[0]!.scheme?.inputs;
    const channels = channelsOf(config, site);
    const transformed = record.hadamard.includes(site);
    sites[site] = stack.use(openSiteForm(device, { hadamard: transformed, channels, inputs }));
  }
  const gain = async (norm: "attention" | "mlp") =>
    stack.use(await loadVector(device, checkpoint, normName(layer, norm)));
  const attentionGain = await gain("attention");
  const mlpGain = await gain("mlp");
  const owned = stack.move();
  return {
    linears: linears as Layer["linears"],
    sites: sites as Layer["sites"],
    attentionGain,
    mlpGain,
    attention: { window: config.windows[layer], kv: record.kv[layer] },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Channels of a site's activation. */
export function channelsOf(config: DecoderConfig, site: LayerSite): number {
  if (site === "attention.out") return config.heads * config.headSize;
  return site === "mlp.out" ? config.inner : config.hidden;
}

/** Where tokens stand: their positions u32 [tokens] and the angles of all positions. */
export interface Places {
  readonly positions: TensorRef;
  readonly angles: TensorRef;
}

/** The places of a sequence of its own from position 0, for as many tokens. */
export function openPlaces(
  device: Device,
  config: DecoderConfig,
  tokens: number,
): Places & Disposable {
  const positions = device.upload(u32([tokens], Array.from({ length: tokens }, (_, i) => i)));
  const angles = device.upload(ropeAngles(config, tokens));
  return {
    positions,
    angles,
    [Symbol.dispose]() {
      positions[Symbol.dispose]();
      angles[Symbol.dispose]();
    },
  };
}

/** Waits for the device, then lets timers and signals of the program have their turn. */
export async function settle(device: Device, { positions }: Places): Promise<void> {
  await device.read(positions);
  await new Promise((resolve) => setTimeout(resolve, 0));
}

/** A stream that starts at the embeddings. */
export function startStream(residual: Tensor): Stream {
  return makeStream(residual, undefined);
}

/** The residual stream between layers: what the last MLP made is not added yet. */
export interface Stream extends Disposable {
  readonly residual: Tensor;
  readonly delta: Tensor | undefined;
}

/** Runs one layer over a sequence; the stream given is used up. */
export function runLayer(
  device: Device,
  config: DecoderConfig,
  weights: Layer,
  options: {
    readonly stream: Stream;
    readonly places: Places;
    readonly observe?: Observe | undefined;
    /** How queries find their keys; in the sequence itself unless said. */
    readonly attention?: Attend;
  },
): Stream {
  const { stream, places, observe, attention = attend } = options;
  const { linears, sites } = weights;
  const eps = config.normEps;
  const { residual, delta } = stream;
  const whole = observe !== undefined;
  const told = (site: LayerSite, input: SiteInput) => {
    if (input.x) observe?.(site, input.x);
    return input;
  };
  const form = (site: LayerSite) => ({ form: sites[site], eps, whole });
  const norm = delta ? { x: delta, residual } : { x: residual };
  const first = normInput(device, { ...norm, gain: weights.attentionGain }, form("attention.in"));
  delta?.[Symbol.dispose]();
  using mixed = mix(device, config, weights, {
    x: told("attention.in", first),
    places,
    observe,
    attention,
  });
  using out = told("attention.out", siteInput(device, mixed, sites["attention.out"]));
  using attended = linears["attention.out"].apply(device, out);
  const second = { x: attended, gain: weights.mlpGain, residual };
  using both = gates(device, weights, told("mlp.in", normInput(device, second, form("mlp.in"))));
  using inner = told("mlp.out", gatedInput(device, both, form("mlp.out")));
  return makeStream(residual, linears["mlp.out"].apply(device, inner));
}

/** Gates of the MLP and what they gate, side by side; `input` is used up. */
function gates(device: Device, { linears }: Layer, input: SiteInput): Tensor {
  using x = input;
  return linears["mlp.in"].apply(device, x);
}

/** Adds what is outstanding to the residual and normalizes it. */
export function normalize(device: Device, stream: Stream, gain: TensorRef, eps: number): Tensor {
  const { residual, delta } = stream;
  return delta
    ? device.run(rmsNorm, { x: delta, gain, residual }, { eps }).y
    : device.run(rmsNorm, { x: residual, gain }, { eps }).y;
}

/** What attention makes of a normalized input, f32 [tokens, heads * head size]; `x` is used up. */
function mix(
  device: Device,
  { heads, kvHeads, headSize }: DecoderConfig,
  { linears, attention: form }: Layer,
  options: {
    readonly x: SiteInput;
    readonly places: Places;
    readonly observe: Observe | undefined;
    readonly attention: Attend;
  },
): Tensor {
  const { places: { positions, angles }, observe, attention } = options;
  using input = options.x;
  using all = linears["attention.in"].apply(device, input);
  const x = all.view([input.tokens, heads + 2 * kvHeads, headSize]);
  const sequence = device.run(rope, { x, positions, angles }, { kvHeads });
  using q = sequence.q;
  using k = sequence.k;
  using v = sequence.v;
  const byToken = (tensor: Tensor, count: number) => tensor.view([input.tokens, count * headSize]);
  observe?.("queries", byToken(q, heads));
  observe?.("keys", byToken(k, kvHeads));
  observe?.("values", byToken(v, kvHeads));
  return attention(device, sequence, form);
}

/** A copy of a stream, which stays as it is. */
export async function cloneStream(device: Device, { residual, delta }: Stream): Promise<Stream> {
  const copy = async (tensor: Tensor) => device.upload(await device.read(tensor));
  return makeStream(await copy(residual), delta && await copy(delta));
}

/** A stream of a residual and what is not added to it yet; both become the stream's. */
function makeStream(residual: Tensor, delta: Tensor | undefined): Stream {
  return {
    residual,
    delta,
    [Symbol.dispose]() {
      residual[Symbol.dispose]();
      delta?.[Symbol.dispose]();
    },
  };
}
