import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { Activation } from "../../kernels/glu.ts";
import {
  gatherColumns,
  glu,
  gluQuantize,
  groupValues,
  hadamard,
  normQuantize,
  quantizeGroups,
  quantizeRows,
} from "../../kernels/mod.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import type { QuantizeRowsOptions } from "../../kernels/quantize_rows.ts";
import { hadamardFactor, leftFactor } from "../quant/hadamard.ts";
import type { InputScheme } from "../quant/schemes.ts";
import type { Norm } from "./norm.ts";
import { normalize, normReads, type Stream } from "./stream.ts";

/** What happens to a site's activation before its linears. */
export interface SiteForm extends Disposable {
  /** The Hadamard transform's left factor, `none` for sizes that are powers of two. */
  readonly hadamard?: Tensor | "none";
  /** Which channel stands at each place, u32 [channels], behind the transform; as they come unless said. */
  readonly order?: Tensor;
  readonly inputs?: InputScheme;
  /** Whether linears take the values that codes stand for, as weights in full precision do. */
  readonly rounded?: boolean;
}

/** An activation as the linears of a site take it; quantized once for all of them. */
export interface SiteInput extends Disposable {
  readonly tokens: number;
  /**
   * f32 [tokens, channels], after the Hadamard transform where the site has one; left out where the
   * codes came at once.
   */
  readonly x?: TensorRef;
  /** Its signed codes, a byte each, u32 [tokens, channels / 4], and scale and sum of each row or group. */
  readonly quantized?: { readonly codes: Tensor; readonly scales: Tensor };
}

/** Puts what a site needs onto the device. */
export function openSiteForm(
  device: Device,
  options: {
    readonly hadamard: boolean;
    readonly order?: readonly number[] | undefined;
    readonly channels: number;
    readonly inputs: InputScheme | undefined;
    /** Inputs whose values linears take; see `SiteForm`. */
    readonly rounded?: InputScheme | undefined;
  },
): SiteForm {
  const factor = options.hadamard ? leftFactor(hadamardFactor(options.channels)) : undefined;
  const left = factor && device.upload(factor, "Hadamard factor");
  const { channels, order: places, rounded } = options;
  const order = places && device.upload(u32([channels], places), "order of channels");
  const inputs = options.inputs ?? rounded;
  return {
    ...options.hadamard && { hadamard: left ?? "none" },
    ...order && { order },
    ...inputs && { inputs },
    ...rounded && { rounded: true },
    [Symbol.dispose]() {
      left?.[Symbol.dispose]();
      order?.[Symbol.dispose]();
    },
  };
}

/** An activation as it is, which goes with the input. */
export function valuesOnly(x: Tensor): SiteInput {
  return { tokens: x.shape[0]!, x, [Symbol.dispose]: () => x[Symbol.dispose]() };
}

/** Makes a site's input of an activation, which stays the caller's. */
export function siteInput(
  device: Device,
  activation: TensorRef,
  { form, whole }: FusedOptions,
): SiteInput {
  using stack = new DisposableStack();
  const turned = form.hadamard === undefined
    ? activation
    : stack.use(transformed(device, activation, form.hadamard));
  const { order, inputs, rounded: asValues } = form;
  if (order && inputs?.group !== undefined && !asValues && !whole) {
    return codesOnly(turned.shape[0]!, codesOf(device, turned, inputs, order));
  }
  const x = order ? stack.use(device.run(gatherColumns, { x: turned, order }, {}).y) : turned;
  const quantized = inputs && codesOf(device, x, inputs);
  if (quantized) Object.values(quantized).forEach((tensor) => stack.use(tensor));
  const rounded = asValues && quantized &&
    stack.use(device.run(groupValues, { codes: quantized.codes, groups: quantized.scales }, {}).x);
  const owned = stack.move();
  return {
    tokens: x.shape[0]!,
    x: rounded || x,
    ...quantized && !rounded && { quantized },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Codes of an activation, and the scales of its rows or groups. */
function codesOf(
  device: Device,
  x: TensorRef,
  inputs: InputScheme,
  order?: Tensor,
): NonNullable<SiteInput["quantized"]> {
  const { group, bits, clip, outlier_bits: outlierBits } = inputs;
  if (group === undefined) {
    const { codes, rows: scales } = device.run(quantizeRows, { x }, optionsOf(inputs));
    return { codes, scales };
  }
  const outliers = outlierBits !== undefined && { outliers: true };
  const options = { group, bits, ...clip !== undefined && { clip }, ...outliers };
  const { codes, groups: scales } = device.run(
    quantizeGroups,
    { x, ...order && { order } },
    options,
  );
  return { codes, scales };
}

/** A site's input that is a norm of a stream, to whose residual what is outstanding is added. */
export function normInput(
  device: Device,
  stream: Stream,
  norm: Norm,
  options: FusedOptions,
): SiteInput {
  const inputs = fused(options);
  if (inputs) {
    const how = { ...norm.options, ...optionsOf(inputs) };
    const { codes, rows: scales } = device.run(normQuantize, normReads(stream, norm), how);
    return codesOnly(stream.residual.shape[0]!, { codes, scales });
  }
  return owning(device, normalize(device, stream, norm), options);
}

/** A site's input that is a gated product: `x` f32 [tokens, 2 channels], gates and what they gate. */
export function gatedInput(
  device: Device,
  x: TensorRef,
  { activation, ...options }: FusedOptions & { readonly activation: Activation },
): SiteInput {
  const inputs = fused(options);
  if (inputs) {
    const how = { activation, ...optionsOf(inputs) };
    const { codes, rows: scales } = device.run(gluQuantize, { x }, how);
    return codesOnly(x.shape[0]!, { codes, scales });
  }
  return owning(device, device.run(glu, { gate: x }, { activation }).y, options);
}

interface FusedOptions {
  readonly form: SiteForm;
  /** Whether the values themselves are wanted too. */
  readonly whole: boolean;
}

/** The scheme of codes that what makes an activation makes at once: a scale a token, as channels come. */
function fused({ form, whole }: FusedOptions): InputScheme | undefined {
  const { inputs, hadamard, order, rounded } = form;
  if (whole || hadamard || order || rounded || inputs?.group !== undefined) return undefined;
  return inputs;
}

function codesOnly(
  tokens: number,
  quantized: { readonly codes: Tensor; readonly scales: Tensor },
): SiteInput {
  return {
    tokens,
    quantized,
    [Symbol.dispose]() {
      quantized.codes[Symbol.dispose]();
      quantized.scales[Symbol.dispose]();
    },
  };
}

/** The input that an activation makes, which goes with it. */
function owning(device: Device, activation: Tensor, options: FusedOptions): SiteInput {
  const input = siteInput(device, activation, options);
  return {
    ...input,
    [Symbol.dispose]() {
      input[Symbol.dispose]();
      activation[Symbol.dispose]();
    },
  };
}

function transformed(device: Device, x: TensorRef, left: Tensor | "none"): Tensor {
  return device.run(hadamard, { x, ...left !== "none" && { left } }, {}).y;
}

function optionsOf({ bits, range, clip }: InputScheme): QuantizeRowsOptions {
  return {
    ...bits !== 8 && { bits },
    ...clip !== undefined && { clip },
    ...range !== "dynamic" && { range },
  };
}
