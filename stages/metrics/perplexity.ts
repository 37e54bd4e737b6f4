import type { Device } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { nll } from "../../kernels/mod.ts";
import type { Model } from "../models/model.ts";
import type { WindowChoice } from "../models/text_windows.ts";
import { columnsAtOnce, LOGIT_BYTES, nextTokens, type WindowState } from "./windows.ts";

/** Where a protocol puts the model's first token, in words. */
const ADDED = {
  none: "no token added",
  window: "first token before every window",
  text: "first token before the text",
} as const;

/**
 * The protocol of GPTQ's perplexity: equal windows, no tail, fresh context, mean of window means;
 * with the model's first token where it is asked for, and from another window than the first.
 */
export function protocolId(
  { bos, windows }: Pick<WindowChoice, "bos" | "windows">,
): string {
  const from = typeof windows === "object" ? ` from ${windows.first}` : "";
  return `windows${from}, tail dropped, ${
    ADDED[bos ?? "none"]
  }, fresh context, mean of window means`;
}

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
