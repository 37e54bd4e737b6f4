import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import type { Activation } from "../../kernels/glu.ts";
import { glu, gluQuantize, hadamard, normQuantize, quantizeRows } from "../../kernels/mod.ts";
import type { QuantizeRowsOptions } from "../../kernels/quantize_rows.ts";
import { hadamardFactor, leftFactor } from "../quant/hadamard.ts";
import type { InputScheme } from "../quant/schemes.ts";
import type { Norm } from "./norm.ts";
import { normalize, normReads, type Stream } from "./stream.ts";

/** What happens to a site's activation before its linears. */
export interface SiteForm extends Disposable {
  /** The Hadamard transform's left factor, `none` for sizes that are powers of two. */
  readonly hadamard?: Tensor | "none";
  readonly inputs?: InputScheme;
}

/** An activation as the linears of a site take it; quantized once for all of them. */
export interface SiteInput extends Disposable {
  readonly tokens: number;
  /**
   * f32 [tokens, channels], after the Hadamard transform where the site has one; left out where the
   * codes came at once.
   */
  readonly x?: TensorRef;
  /** Its signed codes, a byte each, u32 [tokens, channels / 4], and scale and sum of each row. */
  readonly quantized?: { readonly codes: Tensor; readonly rows: Tensor };
}

/** Puts what a site needs onto the device. */
export function openSiteForm(
  device: Device,
  options: {
    readonly hadamard: boolean;
    readonly channels: number;
    readonly inputs: InputScheme | undefined;
  },
): SiteForm {
  const factor = options.hadamard ? leftFactor(hadamardFactor(options.channels)) : undefined;
  const left = factor && device.upload(factor, "Hadamard factor");
  return {
    ...options.hadamard && { hadamard: left ?? "none" },
    ...options.inputs && { inputs: options.inputs },
    [Symbol.dispose]: () => left?.[Symbol.dispose](),
  };
}

/** Makes a site's input of an activation, which stays the caller's. */
export function siteInput(device: Device, activation: TensorRef, form: SiteForm): SiteInput {
  using stack = new DisposableStack();
  const x = form.hadamard === undefined
    ? activation
    : stack.use(transformed(device, activation, form.hadamard));
  const quantized = form.inputs && device.run(quantizeRows, { x }, optionsOf(form.inputs));
  if (quantized) Object.values(quantized).forEach((tensor) => stack.use(tensor));
  const owned = stack.move();
  return {
    tokens: x.shape[0]!,
    x,
    ...quantized && { quantized },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** A site's input that is a norm of a stream, to whose residual what is outstanding is added. */
export function normInput(
  device: Device,
  stream: Stream,
  norm: Norm,
  { form, whole }: FusedOptions,
): SiteInput {
  if (form.inputs && !form.hadamard && !whole) {
    const options = { ...norm.options, ...optionsOf(form.inputs) };
    const quantized = device.run(normQuantize, normReads(stream, norm), options);
    return codesOnly(stream.residual.shape[0]!, quantized);
  }
  return owning(device, normalize(device, stream, norm), form);
}

/** A site's input that is a gated product: `x` f32 [tokens, 2 channels], gates and what they gate. */
export function gatedInput(
  device: Device,
  x: TensorRef,
  { form, whole, activation }: FusedOptions & { readonly activation: Activation },
): SiteInput {
  if (form.inputs && !form.hadamard && !whole) {
    return codesOnly(
      x.shape[0]!,
      device.run(gluQuantize, { x }, { activation, ...optionsOf(form.inputs) }),
    );
  }
  return owning(device, device.run(glu, { gate: x }, { activation }).y, form);
}

interface FusedOptions {
  readonly form: SiteForm;
  /** Whether the values themselves are wanted too. */
  readonly whole: boolean;
}

function codesOnly(
  tokens: number,
  quantized: { readonly codes: Tensor; readonly rows: Tensor },
): SiteInput {
  return {
    tokens,
    quantized,
    [Symbol.dispose]() {
      quantized.codes[Symbol.dispose]();
      quantized.rows[Symbol.dispose]();
    },
  };
}

/** The input that an activation makes, which goes with it. */
function owning(device: Device, activation: Tensor, form: SiteForm): SiteInput {
  const input = siteInput(device, activation, form);
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
