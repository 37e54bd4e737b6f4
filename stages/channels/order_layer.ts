import type { LayerOutline } from "../models/family.ts";
import { type Feeder, type LayerSite, readersOf } from "../models/site.ts";
import type { ChannelWork } from "./channel_work.ts";
import { kvOrder, type OrderPlace, type Reordering } from "./order.ts";
import { chooseOrder, type OrderChoice } from "./order_search.ts";

/** Orders the channels at every place of a layer that is asked for. */
export async function orderLayer(
  work: ChannelWork,
  layer: LayerOutline,
  params: Reordering,
): Promise<OrderChoice[]> {
  const choices: OrderChoice[] = [];
  for (const site of layer.sites) {
    const { projection: place } = site;
    if (place !== "down_proj" && params.online?.includes(place)) {
      choices.push(await orderOnline(work, layer, { site, place, params }));
      continue;
    }
    if (place !== "out_proj" && place !== "down_proj" || !params.sites.includes(place)) continue;
    choices.push(await orderInside(work, layer, { site, place, params }));
  }
  return choices;
}

/** Orders the channels before out_proj or down_proj of one layer, or of an expert. */
async function orderInside(
  work: ChannelWork,
  layer: LayerOutline,
  { site, place, params }: {
    readonly site: LayerSite;
    readonly place: "out_proj" | "down_proj";
    readonly params: Reordering;
  },
): Promise<OrderChoice> {
  const { config } = work.source.architecture;
  const layout = place === "out_proj" ? config : undefined;
  const { order, ...choice } = await chooseOrder(work, [site], { params, layout });
  for (const { weight } of site.linears) work.permuteInputs(weight, order);
  work.change(site.name, { index: order });
  if (place === "out_proj") {
    const values = kvOrder(order, config);
    work.permuteOutputs(site.fedBy, values);
    work.change(layer.taps.values.name, { index: values });
  } else {
    // What feeds down_proj is a product of all linears of the site before, channel by channel.
    for (const linear of layer.site("mlp.in").linears) {
      if (linear.expert === site.expert) work.permuteOutputs(linear, order);
    }
  }
  return { place, layer: layer.index, ...choice };
}

/** Orders the channels before the linears of one site, which are put into that order while the model runs. */
async function orderOnline(
  work: ChannelWork,
  { index: layer }: LayerOutline,
  { site, place, params }: {
    readonly site: LayerSite;
    readonly place: OrderPlace;
    readonly params: Reordering;
  },
): Promise<OrderChoice> {
  const { order, ...choice } = await chooseOrder(work, [site], { params });
  for (const { weight } of site.linears) work.permuteInputs(weight, order);
  work.orderOnline(site.name, order);
  return { place, layer, ...choice };
}

/** Orders the channels of the residual stream everywhere in the model. */
export async function orderResidual(work: ChannelWork, params: Reordering): Promise<OrderChoice> {
  const { embeddings, layers, sites } = work.source.architecture;
  const readers = layers.flatMap((layer) => layer.sites)
    .filter(({ residual }) => residual === "read");
  const { order, ...choice } = await chooseOrder(work, readers, { params });
  work.permuteInputs(embeddings, order);
  for (const { outputNorm } of layers.flatMap((layer) => layer.sites)) {
    if (outputNorm) work.permuteOutputs(outputNorm, order);
  }
  // Sites may share one.
  const norms = new Map<string, Feeder>();
  for (const site of sites) {
    const { name, residual, fedBy } = site;
    for (const linear of readersOf(site)) {
      if (residual === "written") work.permuteOutputs(linear, order);
      else if (linear.weight !== embeddings) work.permuteInputs(linear.weight, order);
    }
    if (residual === "written") continue;
    if (fedBy.kind === "norm") norms.set(fedBy.weight, fedBy);
    work.change(name, { index: order });
  }
  for (const norm of norms.values()) work.permuteOutputs(norm, order);
  return { place: "residual", ...choice };
}
