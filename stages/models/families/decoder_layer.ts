import type { Device, HostTensor, Tensor, TensorRef } from "../../../kernels/device/device.ts";
import { f32 } from "../../../kernels/device/tensor.ts";
import { glu, queryKeyNorm, rmsNorm, rope } from "../../../kernels/mod.ts";
import { attend, type AttentionForm, attentionOptions, type KvSchemes } from "../attend.ts";
import type { DecoderConfig } from "../config.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { Experts } from "../experts.ts";
import type { LayerOutline, ModelFiles } from "../family.ts";
import type { Layer, LayerPass } from "../layer.ts";
import { type Linear, loadLinears } from "../linear.ts";
import { loadSiteAdapters, type SiteAdapters } from "../adapters.ts";
import type { Feeder, SiteRole } from "../site.ts";
import {
  gatedInput,
  normInput,
  openSiteForm,
  type SiteForm,
  type SiteInput,
  siteInput,
  valuesOnly,
} from "../site_input.ts";
import { loadNorm, type Norm } from "../norm.ts";
import { inPieces, rowsWithin } from "../row_pieces.ts";
import { unpackedCompensation } from "../../quant/compensation.ts";
import { addedTo, makeStream, normalize, settled, type Stream } from "../stream.ts";

/** What a layer holds on the device. */
interface Parts {
  readonly config: DecoderConfig;
  /** Which layer of the model it is. */
  readonly index: number;
  readonly linears: Readonly<Record<SiteRole, Linear>>;
  readonly forms: Readonly<Record<SiteRole, SiteForm>>;
  /** What adapters add behind the linears of sites. */
  readonly adapters: Readonly<Partial<Record<SiteRole, SiteAdapters>>>;
  /** The norms before attention and before the MLP, which may be one; where there is none, they read the stream. */
  readonly norms: Readonly<Record<"attention" | "mlp", Norm | undefined>>;
  /** Those behind them, where what they make is normalized. */
  readonly outputNorms: Readonly<Record<"attention" | "mlp", Norm | undefined>>;
  /** Gains of queries and of keys f32 [2 or query and key heads, head size], where they are normalized. */
  readonly headGains: TensorRef | undefined;
  /** What is taken from keys, f32 [kv heads, head size]. */
  readonly keyCenter: TensorRef | undefined;
  /** How codes of keys make up for those before them, f32 [kv heads, head size, head size]. */
  readonly keyCompensation: TensorRef | undefined;
  readonly attention: AttentionForm;
  /** In the place of the MLP, where the layer has them. */
  readonly experts: Experts | undefined;
}

/** Reads a layer with norms before attention and a gated MLP, and with some behind them. */
export async function loadDecoderLayer(
  device: Device,
  { checkpoint, record, architecture, rounded, adapters: wanted = [] }: ModelFiles,
  layer: number,
): Promise<DecoderLayer> {
  const { config, layers } = architecture;
  const outline = layers[layer]!;
  using stack = new DisposableStack();
  const linears: Partial<Record<SiteRole, Linear>> = {};
  const forms: Partial<Record<SiteRole, SiteForm>> = {};
  const adapters: Partial<Record<SiteRole, SiteAdapters>> = {};
  const routed = outline.site("mlp.in").routers !== undefined;
  for (const { name, role, channels, linears: outlines } of outline.sites) {
    if (routed && role.startsWith("mlp")) continue;
    const stored = outlines.map((linear) => ({ ...linear, scheme: record.linears[linear.name] }));
    linears[role] = stack.use(await loadLinears(device, checkpoint, stored));
    const inputs = stored[0]!.scheme?.inputs;
    const hadamard = record.hadamard.includes(role);
    const order = record.orders?.[name];
    const form = { hadamard, order, channels, inputs, rounded: rounded?.[stored[0]!.name] };
    forms[role] = stack.use(openSiteForm(device, form));
    const added = await loadSiteAdapters(device, outlines, wanted);
    if (added) adapters[role] = stack.use(added);
  }
  const norm = async (fedBy: Feeder) =>
    stack.use(await loadNorm(device, checkpoint, { fedBy, config }));
  const before = async (role: SiteRole) => {
    const { fedBy } = outline.site(role);
    return fedBy.kind === "norm" ? await norm(fedBy) : undefined;
  };
  const behind = async (role: SiteRole) => {
    const { outputNorm } = outline.sites.find((site) => site.role === role)!;
    return outputNorm && await norm(outputNorm);
  };
  const attention = await before("attention.in");
  const norms = { attention, mlp: config.parallel ? attention : await before("mlp.in") };
  const outputNorms = { attention: await behind("attention.out"), mlp: await behind("mlp.out") };
  const center = centerOf(record.kv[layer], config);
  const compensation = compensationOf(record.kv[layer], config);
  const headGains = await loadHeadGains(device, checkpoint, { outline, config });
  const files = { checkpoint, record, architecture, ...rounded && { rounded } };
  const experts = routed ? stack.use(await Experts.load(device, files, outline)) : undefined;
  return new DecoderLayer({
    config,
    index: layer,
    linears: linears as Parts["linears"],
    forms: forms as Parts["forms"],
    adapters,
    norms,
    outputNorms,
    headGains: headGains && stack.use(headGains),
    keyCenter: center && stack.use(device.upload(center, "center of keys")),
    keyCompensation: compensation &&
      stack.use(device.upload(compensation, "compensation of keys")),
    attention: { options: attentionOptions(config, layer), kv: record.kv[layer] },
    experts,
  }, stack.move());
}

function centerOf(
  kv: KvSchemes | undefined,
  { kvHeads, headSize }: DecoderConfig,
): HostTensor | undefined {
  return kv?.keyCenter && f32([kvHeads, headSize], kv.keyCenter);
}

function compensationOf(
  kv: KvSchemes | undefined,
  { kvHeads, headSize }: DecoderConfig,
): HostTensor | undefined {
  const { keyCompensation: text } = kv ?? {};
  if (text === undefined) return undefined;
  const shares = unpackedCompensation(text, { heads: kvHeads, size: headSize });
  return f32([kvHeads, headSize, headSize], shares);
}

/** The gains of queries and keys one below the other; undefined where they are not normalized. */
async function loadHeadGains(
  device: Device,
  checkpoint: Checkpoint,
  { outline: { taps: { queries, keys } }, config: { queryKeyNorms, headSize } }: {
    readonly outline: LayerOutline;
    readonly config: DecoderConfig;
  },
): Promise<Tensor | undefined> {
  if (queryKeyNorms === undefined) return undefined;
  const [first, second] = [queries.fedBy, keys.fedBy];
  const values = new Float32Array(first.channels + second.channels);
  values.set(await checkpoint.read(first.weight));
  values.set(await checkpoint.read(second.weight), first.channels);
  return device.upload(f32([values.length / headSize, headSize], values), first.weight);
}

/** Such a layer on the device. */
export class DecoderLayer implements Layer {
  readonly linears: Parts["linears"];
  readonly experts: Parts["experts"];
  readonly #parts: Parts;
  readonly #owned: DisposableStack;

  constructor(parts: Parts, owned: DisposableStack) {
    this.linears = parts.linears;
    this.experts = parts.experts;
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
  const { stream: { residual, delta }, observe, owners } = pass;
  const { config: { parallel, residualScale: factor, activation }, forms, norms } = parts;
  // Adapters multiply values, whatever the linears take.
  const wholeAt = (site: SiteRole) =>
    observe !== undefined || (owners !== undefined && parts.adapters[site] !== undefined);
  // What a block beside another or experts see is at the end of all.
  const until = parallel || parts.experts ? undefined : pass.until;
  const told = (site: SiteRole, input: SiteInput) => {
    if (input.x) observe?.(site, input.x);
    return input;
  };
  const read = (site: SiteRole, stream: Stream, norm: Norm | undefined) => {
    const form = forms[site];
    return told(
      site,
      norm
        ? normInput(device, stream, norm, { form, whole: wholeAt(site) })
        : siteInput(device, settled(device, stream), { form, whole: wholeAt(site) }),
    );
  };
  const first = read("attention.in", pass.stream, norms.attention);
  delta?.[Symbol.dispose]();
  if (until === "attention.in") {
    first[Symbol.dispose]();
    return makeStream(residual, undefined);
  }
  // Where both blocks read one norm, the MLP reads the stream before attention is added.
  const beside = parallel ? read("mlp.in", makeStream(residual, undefined), norms.mlp) : undefined;
  using mixed = mix(device, parts, first, pass);
  using out = told(
    "attention.out",
    siteInput(device, mixed, { form: forms["attention.out"], whole: wholeAt("attention.out") }),
  );
  if (until === "attention.out") return makeStream(residual, undefined);
  const attended = normedOutput(
    device,
    parts,
    "attention",
    applied(device, parts, "attention.out", { input: out, owners }),
  );
  const stream = addedTo(device, residual, { made: attended, factor, now: parallel || !norms.mlp });
  using _outstanding = stream.delta;
  // An engine's steps are no longer than what its tensors hold.
  const most = (columns: number) => pass.pages ? Infinity : rowsWithin(device, columns);
  if (parts.experts && norms.mlp) {
    const { experts } = parts;
    const x = normalize(device, stream, norms.mlp);
    // Who watches sees what goes to an expert at once.
    const rows = observe ? Infinity : most(experts.width);
    const made = inPieces(device, valuesOnly(x), rows, (piece) => {
      using input = piece;
      return experts.run(device, input.x!, observe);
    });
    return addedTo(device, residual, { made, factor });
  }
  const input = beside ?? read("mlp.in", stream, norms.mlp);
  if (until === "mlp.in") {
    input[Symbol.dispose]();
    return makeStream(residual, undefined);
  }
  const rows = most(parts.linears["mlp.in"].outputs);
  const form = forms["mlp.out"];
  if (observe) {
    // Who watches sees all rows at once.
    using values = inPieces(device, input, rows, (piece) => {
      using both = gates(device, parts, { input: piece, owners });
      return device.run(glu, { gate: both }, { activation }).y;
    });
    using inner = told("mlp.out", siteInput(device, values, { form, whole: true }));
    if (until === "mlp.out") return makeStream(residual, undefined);
    return ended(applied(device, parts, "mlp.out", { input: inner, owners }));
  }
  return ended(inPieces(device, input, rows, (piece) => {
    using both = gates(device, parts, { input: piece, owners });
    using inner = gatedInput(device, both, { form, whole: wholeAt("mlp.out"), activation });
    return applied(device, parts, "mlp.out", { input: inner, owners });
  }));

  function ended(outcome: Tensor): Stream {
    const made = normedOutput(device, parts, "mlp", outcome);
    return addedTo(device, residual, { made, factor });
  }
}

/** What a block adds to the residual stream, normalized where the layer has it so; `made` is used up. */
function normedOutput(
  device: Device,
  { outputNorms }: Parts,
  block: "attention" | "mlp",
  made: Tensor,
): Tensor {
  const norm = outputNorms[block];
  if (!norm) return made;
  using x = made;
  const { gain, bias, options } = norm;
  return device.run(rmsNorm, { x, gain, ...bias && { bias } }, options).y;
}

/** A site's input, and whose rows it has. */
interface OwnedInput {
  readonly input: SiteInput;
  readonly owners: TensorRef | undefined;
}

/** What a site's linears make of its input, with what the adapters of its rows add. */
function applied(
  device: Device,
  { linears, adapters }: Pick<Parts, "linears" | "adapters">,
  site: SiteRole,
  { input, owners }: OwnedInput,
): Tensor {
  const y = linears[site].apply(device, input);
  if (owners) adapters[site]?.add(device, input.x!, { y, owners });
  return y;
}

/** Gates of the MLP and what they gate, side by side; the input is used up. */
function gates(device: Device, parts: Parts, { input, owners }: OwnedInput): Tensor {
  using x = input;
  return applied(device, parts, "mlp.in", { input: x, owners });
}

/** What attention makes of a normalized input, f32 [tokens, heads * head size]; it is used up. */
function mix(
  device: Device,
  { config, index, ...parts }: Omit<Parts, "experts">,
  normalized: SiteInput,
  { places: { positions, angles: ofLayers }, observe, attention = attend, pages, owners }:
    LayerPass,
): Tensor {
  const { heads, kvHeads, headSize, normEps: eps, norm, queryKeyNorms, neighbours } = config;
  using input = normalized;
  using all = applied(device, parts, "attention.in", { input, owners });
  const x = all.view([input.tokens, heads + 2 * kvHeads, headSize]);
  if (parts.headGains) {
    const how = { kvHeads, eps, centered: norm === "layer", rows: queryKeyNorms === "row" };
    device.run(queryKeyNorm, { x, gains: parts.headGains }, how);
  }
  const angles = ofLayers[index]!;
  const { attention: { kv }, keyCenter: center, keyCompensation: compensation } = parts;
  const hadamard = kv?.rotatedKeys ?? false;
  const stillKeys = kv?.keysBeforeRope ?? false;
  const inputs = { x, positions, angles, ...center && { center } };
  const options = { kvHeads, neighbours, hadamard, stillKeys };
  if (pages) return pages(device, { inputs, options, compensation }, parts.attention);
  const sequence = device.run(rope, inputs, options);
  using q = sequence.q;
  using k = sequence.k;
  using v = sequence.v;
  const byToken = (tensor: Tensor, count: number) => tensor.view([input.tokens, count * headSize]);
  observe?.("queries", byToken(q, heads));
  observe?.("keys", byToken(k, kvHeads));
  observe?.("values", byToken(v, kvHeads));
  const turn = stillKeys && { turn: { angles, neighbours } };
  return attention(device, { ...sequence, ...turn, compensation }, parts.attention);
}
