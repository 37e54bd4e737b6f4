import { orderLayer, orderResidual } from "../channels/order_layer.ts";
import type { OrderChoice } from "../channels/order_search.ts";
import {
  type ChannelMethod,
  countSearch,
  searchedWords,
  searchLayers,
} from "../channels/search_layers.ts";
import { duration } from "../duration.ts";
import { headerFiles } from "../facts.ts";
import { ORDERINGS, type OrderPlace, type Reordering } from "../channels/order.ts";
import { isRotated } from "../models/model_record.ts";
import { rewriteForecast } from "../sizes.ts";
import type { WorkOf } from "../kinds.ts";
import type { ReorderDeclaration } from "../reorder.ts";

/** See `reorder`. */
export const reorderWork: WorkOf<ReorderDeclaration> = {
  async forecast({ model, stats }, params, { limits, rates }) {
    const files = headerFiles(model);
    const { rewrite, search, shares } = await countSearch(files, stats, methodOf(params), limits);
    const choices = placesOf(params).length * files.architecture.layers.length;
    const forecast = rewriteForecast(model, rewrite, { ...search, choices });
    return { ...forecast, ...duration(rates, [shares, { written: forecast.diskBytes }]) };
  },
  async run(job, inputs, params) {
    const record = await searchLayers(job, inputs, methodOf(params));
    const rotated = isRotated(record);
    const spread = placesOf(params).filter((each) => each !== "down_proj");
    if (rotated && spread.length > 0) {
      const places = spread.join(" and ");
      const text = `${places} had been rotated, which leaves little to gain from order`;
      job.note(text, undefined, "warning");
    }
  },
};

/** The places that are ordered, each once. */
function placesOf({ sites, online = [] }: Reordering): readonly OrderPlace[] {
  return [...sites, ...online];
}

function methodOf(params: Reordering): ChannelMethod<OrderChoice> {
  const { sites, online = [] } = params;
  return {
    stage: "reorder",
    params,
    places: placesOf(params),
    inputs: sites.filter((place) => place === "down_proj"),
    refuse({ layers }) {
      if (!online.includes("up_proj")) return;
      const routed = layers.flatMap((layer) => layer.sites).find(({ routers }) => routers);
      if (!routed) return;
      throw new TypeError(
        `Cannot order up_proj online: a router reads ${routed.name} before its linears do, expected linears alone; leave up_proj out of online`,
      );
    },
    tried: params.strategy === "grid" ? 1 + ORDERINGS.length : 0,
    find: (work, layer) => orderLayer(work, layer, params),
    findShared: async (work) =>
      sites.includes("residual") ? [await orderResidual(work, params)] : [],
    words,
  };
}

function words(place: string, choices: readonly OrderChoice[]): string {
  const [first] = choices;
  if (first?.ordering === "as before" && !first.error) {
    return `${place}: left as it was, since whole rows of weights share a scale and no order is better`;
  }
  if (!first?.error) return `${place}: ordered by ${first && orderingWords(first.ordering)}`;
  const same = choices.filter(({ ordering }) => ordering === "as before").length;
  const kept = same > 0 ? `; ${same} of ${choices.length} stay as they were` : "";
  return searchedWords(place, choices, { than: "in the old order", kept });
}

function orderingWords(ordering: OrderChoice["ordering"]): string {
  return typeof ordering === "string" ? ordering : `${ordering.metric}, ${ordering.index}`;
}
