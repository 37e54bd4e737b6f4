import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { hadamard, quantizeRows } from "../../kernels/mod.ts";
import { hadamardFactor, leftFactor } from "../quant/hadamard.ts";
import type { InputScheme } from "../quant/schemes.ts";

/** What happens to a site's activation before its linears. */
export interface SiteForm extends Disposable {
  /** The Hadamard transform's left factor, `none` for sizes that are powers of two. */
  readonly hadamard?: Tensor | "none";
  readonly inputs?: InputScheme;
}

/** An activation as the linears of a site take it; quantized once for all of them. */
export interface SiteInput extends Disposable {
  /** f32 [tokens, channels], after the Hadamard transform where the site has one. */
  readonly x: TensorRef;
  /** Its signed 8-bit codes u32 [tokens, channels / 4], and scale and sum of each row. */
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
  return { x, ...quantized && { quantized }, [Symbol.dispose]: () => owned.dispose() };
}

function transformed(device: Device, x: TensorRef, left: Tensor | "none"): Tensor {
  return device.run(hadamard, { x, ...left !== "none" && { left } }, {}).y;
}

function optionsOf({ range }: InputScheme): { readonly range?: number } {
  return range === "dynamic" ? {} : { range };
}
