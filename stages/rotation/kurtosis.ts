import type { Device } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import type { ActivationRows, Stats } from "../calibration/stats.ts";
import type { ModelFiles } from "../models/family.ts";
import type { LayerSite } from "../models/site.ts";
import { addCross, Products } from "./products.ts";
import type { LearnedRotations } from "./learned_rotations.ts";
import type { LossAndGradients } from "./trained_network.ts";

/**
 * How far channels of the rotated residual stream stand out: the mean fourth power of x R1 over what
 * norms gave on calibration tokens, each row of a mean square of about 1, and its gradient 4 x^T (x R1)^3.
 * For evenly spread channels it is 3, as of normally distributed ones, and less below that.
 *
 * A measure of weights and tokens alone: nothing runs through the network, so it is far cheaper than
 * SpinQuant's loss and no substitute for it. Rotations of heads have no gradient.
 */
export async function kurtosisLoss(
  device: Device,
  { residual }: LearnedRotations,
  { files, stats }: { readonly files: ModelFiles; readonly stats: Stats },
): Promise<LossAndGradients> {
  const { config: { hidden }, layers } = files.architecture;
  using work = new Products(device);
  const r = work.upload(f32([hidden, hidden], residual), "rotation");
  const inverse = work.transposed(r);
  const gradient = work.upload(f32([hidden, hidden]));
  const sites = layers.flatMap(({ sites }) => sites.filter(({ residual }) => residual === "read"));
  let loss = 0;
  for (const site of sites) {
    using own = new Products(device);
    const { rows, values } = await normedRows(files, stats, site);
    const x = own.upload(f32([rows, hidden], values));
    const y = (await device.read(own.times(x, inverse))).data as Float32Array<ArrayBuffer>;
    const share = 1 / (rows * hidden * sites.length);
    for (const value of y) loss += share * value ** 4;
    const cubes = own.upload(f32([rows, hidden], y.map((value) => 4 * share * value ** 3)));
    addCross(device, gradient, x, cubes);
  }
  const { data } = await device.read(gradient);
  return { loss, gradients: { residual: data as Float32Array<ArrayBuffer>, heads: [] } };
}

/** What a norm gave before its gains, which are folded into what reads it; 0 where a gain is 0. */
async function normedRows(
  { checkpoint }: ModelFiles,
  stats: Stats,
  { layer, name, fedBy }: LayerSite,
): Promise<ActivationRows> {
  const found = await stats.rows(layer, name);
  const gains = await checkpoint.read(fedBy.weight);
  found.values.forEach((value, at) => {
    const gain = gains[at % found.columns]!;
    found.values[at] = gain === 0 ? 0 : value / gain;
  });
  return found;
}
