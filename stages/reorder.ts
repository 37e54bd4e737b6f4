import { orderLayer, orderResidual } from "./channels/order_layer.ts";
import type { OrderChoice } from "./channels/order_search.ts";
import { reordering } from "./channels/reordering_params.ts";
import { searchedWords, searchLayers } from "./channels/search_layers.ts";
import { forecastReorder } from "./forecast/reorder.ts";
import { defineStage } from "./kinds.ts";

/** Permutes channels so that those of one group are alike, without changing what the model computes. */
export const reorder = defineStage({
  about: "Orders channels by magnitude, so that those that share a scale are alike.",
  version: 1,
  params: reordering,
  inputs: { model: "model", stats: "stats" },
  output: "model",
  example: {},
  forecast: forecastReorder,
  async run(job, inputs, params) {
    const { sites } = params;
    const record = await searchLayers<OrderChoice>(job, inputs, {
      stage: "reorder",
      params,
      places: sites,
      inputs: sites.filter((place) => place === "down_proj"),
      find: (work, layer) => orderLayer(work, layer, params),
      findShared: async (work) =>
        sites.includes("residual") ? [await orderResidual(work, params)] : [],
      words,
    });
    const rotated = record.history.some(({ stage }) => stage === "rotate");
    const spread = sites.filter((each) => each !== "down_proj");
    if (rotated && spread.length > 0) {
      const places = spread.join(" and ");
      const text = `${places} had been rotated, which leaves little to gain from order`;
      job.note(text, undefined, "warning");
    }
  },
});

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
