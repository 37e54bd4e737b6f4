import type { Device, TensorRef } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { divergence } from "../../kernels/mod.ts";
import { DIVERGENCE_STATE } from "../../kernels/divergence.ts";
import type { Model } from "../models/model.ts";
import type { Head } from "../models/head.ts";
import { columnsAtOnce, LOGIT_BYTES, nextTokens, type WindowState } from "./windows.ts";

/** How a window went under a model and its baseline, for every token but the first. */
export interface WindowDivergence {
  /** Log-likelihoods under the model, in nats. */
  readonly logLikelihoods: Float32Array;
  /** KL(baseline || model) of the distributions the token was drawn from, in nats. */
  readonly kl: Float32Array;
  /** 1 where the likeliest token of both is the same, else 0. */
  readonly agrees: Uint8Array;
}

/**
 * Compares a model's predictions in a window with those of its baseline, of which only the head and
 * its input are needed. Logits of both exist for some columns at a time.
 */
export async function compareWindow(
  device: Device,
  model: Model,
  { ids, hidden, baseline }: Pick<WindowState, "ids" | "hidden"> & {
    readonly baseline: { readonly head: Head; readonly hidden: TensorRef };
  },
): Promise<WindowDivergence> {
  const tokens = ids.length;
  using targets = device.upload(u32([tokens], nextTokens(ids)));
  using state = device.upload(f32([tokens, DIVERGENCE_STATE]));
  using top = device.upload(u32([tokens, 2]));
  const head = await model.head();
  head.applyInPieces(
    device,
    hidden,
    columnsAtOnce(LOGIT_BYTES / 2, tokens),
    (logits, column) => {
      const range = { first: column, rows: logits.shape[1]! };
      using other = baseline.head.applyRows(device, baseline.hidden, range);
      const inputs = { baseline: other, logits, targets, state, top };
      device.run(divergence, inputs, { column, first: column === 0 });
    },
  );
  const { data } = await device.read(state);
  const { data: places } = await device.read(top);
  model.release(head);
  const scored = tokens - 1;
  const [logLikelihoods, kl] = [new Float32Array(scored), new Float32Array(scored)];
  const agrees = new Uint8Array(scored);
  for (let i = 0; i < scored; i++) {
    const at = DIVERGENCE_STATE * i;
    const row = data.subarray(at, at + DIVERGENCE_STATE);
    const [largestP = 0, sumP = 0, weighted = 0, largestQ = 0, sumQ = 0, , target = 0] = row;
    logLikelihoods[i] = target - largestQ - Math.log(sumQ);
    kl[i] = weighted / sumP + (largestQ - largestP) + Math.log(sumQ / sumP);
    agrees[i] = Number(places[2 * i] === places[2 * i + 1]);
  }
  return { logLikelihoods, kl, agrees };
}

/** Mean divergence and agreement of all tokens, and those of each window, which are of one length. */
export function meanDivergence(windows: readonly WindowDivergence[]): {
  readonly kl: number;
  readonly top1: number;
  readonly windowKl: readonly number[];
  readonly windowTop1: readonly number[];
} {
  const sum = (values: Iterable<number>) => {
    let total = 0;
    for (const value of values) total += value;
    return total;
  };
  const mean = (all: readonly (Float32Array | Uint8Array)[]) =>
    all.reduce((total, values) => total + sum(values), 0) /
    all.reduce((count, { length }) => count + length, 0);
  return {
    kl: mean(windows.map(({ kl }) => kl)),
    top1: mean(windows.map(({ agrees }) => agrees)),
    windowKl: windows.map(({ kl }) => mean([kl])),
    windowTop1: windows.map(({ agrees }) => mean([agrees])),
  };
}
