import type { Device } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { nll } from "../../kernels/mod.ts";
import type { Model } from "../models/model.ts";
import { columnsAtOnce, LOGIT_BYTES, nextTokens, type WindowState } from "./windows.ts";

/** The protocol of GPTQ's perplexity: equal windows, no tail, fresh context, mean of window means. */
export const PROTOCOL =
  "windows, tail dropped, no token added, fresh context, mean of window means";

/** Log-likelihoods of a window's tokens but the first; logits exist for some columns at a time. */
export async function scoreWindow(
  device: Device,
  model: Model,
  { ids, hidden }: Pick<WindowState, "ids" | "hidden">,
): Promise<Float32Array> {
  using targets = device.upload(u32([ids.length], nextTokens(ids)));
  using state = device.upload(f32([ids.length, 3]));
  const head = await model.head();
  const most = columnsAtOnce(LOGIT_BYTES, ids.length);
  head.applyInPieces(device, hidden, most, (logits, column) => {
    device.run(nll, { logits, targets, state }, { column, first: column === 0 });
  });
  const { data } = await device.read(state);
  model.release(head);
  return Float32Array.from(
    { length: ids.length - 1 },
    (_, i) => data[3 * i + 2]! - data[3 * i]! - Math.log(data[3 * i + 1]!),
  );
}

/** Mean negative log-likelihood of each window, and the exponential of their mean. */
export function perplexity(windows: readonly Float32Array[]): {
  readonly perplexity: number;
  readonly windowMeans: readonly number[];
} {
  const windowMeans = windows.map((values) =>
    -values.reduce((sum, value) => sum + value, 0) / values.length
  );
  const mean = windowMeans.reduce((sum, value) => sum + value, 0) / windowMeans.length;
  return { perplexity: Math.exp(mean), windowMeans };
}
