import { SPREAD_BYTES } from "../channels/channel_spread.ts";
import {
  type ChannelMethod,
  countSearch,
  searchedWords,
  searchLayers,
} from "../channels/search_layers.ts";
import { candidateCount, type SmoothChoice, smoothLayer } from "../channels/smooth_layer.ts";
import { duration } from "../duration.ts";
import { headerFiles } from "../facts.ts";
import { isRotated } from "../models/model_record.ts";
import { projection } from "../models/site.ts";
import { rewriteForecast } from "../sizes.ts";
import type { ParamsOf, WorkOf } from "../kinds.ts";
import type { SmoothDeclaration } from "../smooth.ts";

/** See `smooth`. */
export const smoothWork: WorkOf<SmoothDeclaration> = {
  async forecast({ model, stats }, params, { limits, rates }) {
    const files = headerFiles(model);
    const { rewrite, search, shares } = await countSearch(files, stats, methodOf(params), limits);
    const places = 1 + (params.projections?.sites.length ?? 0);
    const choices = places * files.architecture.layers.length;
    const forecast = rewriteForecast(model, rewrite, { ...search, choices });
    const diskBytes = forecast.diskBytes + SPREAD_BYTES * choices;
    return { ...forecast, diskBytes, ...duration(rates, [shares, { written: diskBytes }]) };
  },
  async run(job, inputs, params) {
    const record = await searchLayers(job, inputs, methodOf(params));
    const places = params.projections?.sites ?? [];
    const folded = places.filter((place) => place === "qkv_proj" || place === "up_proj");
    if (folded.length > 0 && isRotated(record)) {
      job.note(
        `${
          folded.join(" and ")
        } put scales into norm gains, which rotating had made 1; QServe's engine expects gains of 1`,
        undefined,
        "warning",
      );
    }
  },
};

function methodOf(
  { projections, attention }: ParamsOf<SmoothDeclaration>,
): ChannelMethod<SmoothChoice> {
  return {
    stage: "smooth",
    params: { ...projections && { projections }, ...attention && { attention } },
    places: ["attention", ...projection.options],
    inputs: projections?.sites ?? [],
    tried: projections?.strategy === "grid" ? candidateCount(projections) : 0,
    triedKeys: attention?.strategy === "grid" ? candidateCount(attention) : 0,
    refuse({ layers }) {
      const site = layers.flatMap(({ sites }) => sites).find(({ fedBy, projection }) =>
        fedBy.kind === "stream" && projections?.sites.includes(projection)
      );
      if (!site) return;
      throw new TypeError(
        `Cannot smooth ${site.projection}: the residual stream feeds ${site.name} as it is, expected a norm, whose gain takes the scale; leave ${site.projection} out of sites`,
      );
    },
    check({ record }) {
      if (attention?.strategy === "grid" && record.attentionWindows === 0) {
        throw new RangeError(
          "Cannot search attention scales: the stats hold no attention windows, expected one or more; set attention_windows on the calibrate step, or strategy: manual here",
        );
      }
    },
    find: (work, layer) => smoothLayer(work, layer, { projections, attention }),
    words,
  };
}

function words(place: string, choices: readonly SmoothChoice[]): string {
  const [first] = choices;
  if (!first?.error) return `${place}: alpha ${first?.alpha}, beta ${first?.beta}`;
  const same = choices.filter(({ alpha, beta }) => alpha === 0 && beta === 0).length;
  const kept = same > 0 ? `; ${same} of ${choices.length} layers keep theirs` : "";
  return searchedWords(place, choices, { than: "without scales", kept });
}
