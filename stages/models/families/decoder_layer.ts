import type { Device, Tensor, TensorRef } from "../../../kernels/device/device.ts";
import { f32 } from "../../../kernels/device/tensor.ts";
import { queryKeyNorm, rope } from "../../../kernels/mod.ts";
import { attend, type AttentionForm } from "../attend.ts";
import type { DecoderConfig } from "../config.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { LayerOutline, ModelFiles } from "../family.ts";
import type { Layer, LayerPass } from "../layer.ts";
import { type Linear, loadLinears } from "../linear.ts";
import type { SiteRole } from "../site.ts";
import {
  gatedInput,
  normInput,
  openSiteForm,
  type SiteForm,
  type SiteInput,
  siteInput,
} from "../site_input.ts";
import { makeStream, type Stream } from "../stream.ts";
import { loadVector } from "../weight.ts";

/** What a layer holds on the device. */
interface Parts {
  readonly config: DecoderConfig;
  /** Which layer of the model it is. */
  readonly index: number;
  readonly linears: Readonly<Record<SiteRole, Linear>>;
  readonly forms: Readonly<Record<SiteRole, SiteForm>>;
  /** Gains of the norms before attention and before the MLP. */
  readonly gains: Readonly<Record<"attention" | "mlp", TensorRef>>;
  /** Gains of queries and of keys f32 [2, head size], where they are normalized. */
  readonly headGains: TensorRef | undefined;
  readonly attention: AttentionForm;
}

/** Reads a layer with a norm before attention and before a gated MLP. */
export async function loadDecoderLayer(
  device: Device,
  { checkpoint, record, architecture }: ModelFiles,
  layer: number,
): Promise<DecoderLayer> {
  const { config, layers } = architecture;
  const outline = layers[layer]!;
  using stack = new DisposableStack();
  const linears: Partial<Record<SiteRole, Linear>> = {};
  const forms: Partial<Record<SiteRole, SiteForm>> = {};
  for (const { role, channels, linears: outlines } of outline.sites) {
    const stored = outlines.map((linear) => ({ ...linear, scheme: record.linears[linear.name] }));
    linears[role] = stack.use(await loadLinears(device, checkpoint, stored));
    const inputs = stored[0]!.scheme?.inputs;
    const hadamard = record.hadamard.includes(role);
    forms[role] = stack.use(openSiteForm(device, { hadamard, channels, inputs }));
  }
  const gain = async (name: string) => stack.use(await loadVector(device, checkpoint, name));
  const gains = {
    attention: await gain(outline.site("attention.in").fedBy.weight),
    mlp: await gain(outline.site("mlp.in").fedBy.weight),
  };
  const headGains = await loadHeadGains(device, checkpoint, outline);
  return new DecoderLayer({
    config,
    index: layer,
    linears: linears as Parts["linears"],
    forms: forms as Parts["forms"],
    gains,
    headGains: headGains && stack.use(headGains),
    attention: { window: config.windows[layer], kv: record.kv[layer] },
  }, stack.move());
}

/** The gains of queries and keys one below the other; undefined where they are not normalized. */
async function loadHeadGains(
  device: Device,
  checkpoint: Checkpoint,
  { taps: { queries, keys } }: LayerOutline,
): Promise<Tensor | undefined> {
  if (queries.fedBy.kind !== "norm") return undefined;
  const { channels } = queries.fedBy;
  const values = new Float32Array(2 * channels);
  values.set(await checkpoint.read(queries.fedBy.weight));
  values.set(await checkpoint.read(keys.fedBy.weight), channels);
  return device.upload(f32([2, channels], values), queries.fedBy.weight);
}

/** Such a layer on the device. */
export class DecoderLayer implements Layer {
  readonly linears: Parts["linears"];
  readonly #parts: Parts;
  readonly #owned: DisposableStack;

  constructor(parts: Parts, owned: DisposableStack) {
    this.linears = parts.linears;
    this.#parts = parts;
    this.#owned = owned;
  }

  run(device: Device, pass: LayerPass): Stream {
    return runLayer(device, this.#parts, pass);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

function runLayer(device: Device, parts: Parts, pass: LayerPass): Stream {
  const { stream: { residual, delta }, observe } = pass;
  const { config: { normEps: eps }, linears, forms, gains } = parts;
  const whole = observe !== undefined;
  const told = (site: SiteRole, input: SiteInput) => {
    if (input.x) observe?.(site, input.x);
    return input;
  };
  const form = (site: SiteRole) => ({ form: forms[site], eps, whole });
  const norm = delta ? { x: delta, residual } : { x: residual };
  const first = normInput(device, { ...norm, gain: gains.attention }, form("attention.in"));
  delta?.[Symbol.dispose]();
  using mixed = mix(device, parts, told("attention.in", first), pass);
  using out = told("attention.out", siteInput(device, mixed, forms["attention.out"]));
  using attended = linears["attention.out"].apply(device, out);
  const second = { x: attended, gain: gains.mlp, residual };
  using both = gates(device, parts, told("mlp.in", normInput(device, second, form("mlp.in"))));
  using inner = told("mlp.out", gatedInput(device, both, form("mlp.out")));
  return makeStream(residual, linears["mlp.out"].apply(device, inner));
}

/** Gates of the MLP and what they gate, side by side; `input` is used up. */
function gates(device: Device, { linears }: Parts, input: SiteInput): Tensor {
  using x = input;
  return linears["mlp.in"].apply(device, x);
}

/** What attention makes of a normalized input, f32 [tokens, heads * head size]; it is used up. */
function mix(
  device: Device,
  { config: { heads, kvHeads, headSize, normEps: eps }, index, linears, ...parts }: Parts,
  normalized: SiteInput,
  { places: { positions, angles: ofLayers }, observe, attention = attend }: LayerPass,
): Tensor {
  using input = normalized;
  using all = linears["attention.in"].apply(device, input);
  const x = all.view([input.tokens, heads + 2 * kvHeads, headSize]);
  if (parts.headGains) device.run(queryKeyNorm, { x, gains: parts.headGains }, { kvHeads, eps });
  const angles = ofLayers[index]!;
  const sequence = device.run(rope, { x, positions, angles }, { kvHeads });
  using q = sequence.q;
  using k = sequence.k;
  using v = sequence.v;
  const byToken = (tensor: Tensor, count: number) => tensor.view([input.tokens, count * headSize]);
  observe?.("queries", byToken(q, heads));
  observe?.("keys", byToken(k, kvHeads));
  observe?.("values", byToken(v, kvHeads));
  return attention(device, sequence, parts.attention);
}
