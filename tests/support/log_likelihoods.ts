import type { Device } from "../../kernels/device/device.ts";
import { scoreWindow } from "../../stages/metrics/perplexity.ts";
import { type WindowOptions, windowStates } from "../../stages/metrics/windows.ts";
import type { Model } from "../../stages/models/model.ts";

/** Log-likelihoods in nats of every token but the first of each window, window after window. */
export async function* logLikelihoods(
  device: Device,
  model: Model,
  tokens: Uint32Array,
  options: WindowOptions,
): AsyncGenerator<Float32Array> {
  for await (const state of windowStates(device, model, tokens, options)) {
    yield await scoreWindow(device, model, state);
  }
}
