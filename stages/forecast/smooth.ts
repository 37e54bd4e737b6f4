import type { Forecast } from "../../pipeline/stage.ts";
import { channelsOf } from "../models/decoder.ts";
import { weightTensors } from "../models/device_tensors.ts";
import type { DecoderConfig } from "../models/family.ts";
import { findFamily } from "../models/families/find_family.ts";
import { type Projection, PROJECTION_SITES } from "../models/projections.ts";
import { linearName } from "../models/names.ts";
import { hostPeak, sumOf } from "../models/peaks.ts";
import { familyOf } from "../channels/exponent_signs.ts";
import { exponentCandidates } from "../channels/smoothing_candidates.ts";
import {
  type AttentionSmoothing,
  type ProjectionSmoothing,
  spanPairs,
} from "../channels/smoothing_params.ts";
import { jsonBytes, type ModelOutline, type StatsOutline } from "./outlines.ts";
import { attentionChange, changedRecord, forecastRewrite, SOME_FIGURE } from "./rewrite.ts";
import { linearSearch, type SearchPeak, withSearches } from "./search.ts";

/** Tensors that smoothing a place changes: linears and what feeds them. */
const EDITED: Readonly<Record<Projection | "attention", RegExp>> = {
  qkv_proj: /\.([qkv]_proj|input_layernorm)\./,
  out_proj: /\.[ov]_proj\./,
  up_proj: /\.(gate_proj|up_proj|post_attention_layernorm)\./,
  down_proj: /\.(down_proj|up_proj)\./,
  attention: /\.[qk]_proj\./,
};

/** What scaling channels takes, and searching for the scales. */
export function forecastSmooth(
  { model, stats }: { readonly model: ModelOutline; readonly stats: StatsOutline },
  { projections, attention }: {
    readonly projections?: ProjectionSmoothing | undefined;
    readonly attention?: AttentionSmoothing | undefined;
  },
): Forecast {
  const config = findFamily(model.config).config(model.config);
  const { heads, kvHeads, headSize, inner, hidden, layers } = config;
  const places = [...attention ? ["attention" as const] : [], ...projections?.sites ?? []];
  const changes = new Map<string, number>();
  const choices: unknown[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (const place of places) {
      const { strategy, alpha, beta } = (place === "attention" ? attention : projections)!;
      const error = { before: SOME_FIGURE, after: SOME_FIGURE };
      const spans = ["abs_max", "abs_max"];
      choices.push({ layer, place, spans, alpha, beta, ...strategy === "grid" && { error } });
      if (place === "attention") {
        changes.set(attentionChange(layer, "queries", "scale"), heads * headSize);
        changes.set(attentionChange(layer, "keys", "scale"), kvHeads * headSize);
        continue;
      }
      const site = PROJECTION_SITES[place];
      changes.set(`layers.${layer}.${site}.scale`, channelsOf(config, site));
      if (place !== "out_proj") continue;
      changes.set(attentionChange(layer, "values", "scale"), kvHeads * headSize);
    }
  }
  const params = { ...projections && { projections }, ...attention && { attention } };
  const forecast = forecastRewrite(model, {
    record: changedRecord(model.record, "smooth", params),
    edit: (name) => places.some((place) => EDITED[place].test(name)) ? "rows" : undefined,
    changes,
    besideBytes: jsonBytes({ choices }),
  });
  const rows = {
    qkv_proj: heads * headSize,
    out_proj: hidden,
    up_proj: inner,
    down_proj: hidden,
  };
  const searched = projections?.strategy === "grid" ? projections.sites : [];
  return withSearches(forecast, [
    ...searched.map((place) =>
      linearSearch({
        inputs: stats.rows,
        rows: rows[place],
        columns: channelsOf(config, PROJECTION_SITES[place]),
        candidates: candidatesOf(projections!),
      })
    ),
    ...attention?.strategy === "grid" ? [attentionSearch(model, config, stats)] : [],
  ]);
}

function candidatesOf(params: ProjectionSmoothing): number {
  const family = params.candidates ?? familyOf(params);
  return spanPairs(params).length * exponentCandidates(family, params.grids).length;
}

/** A search by the errors of attention: a window's keys at a time, behind the output projection. */
function attentionSearch(
  model: ModelOutline,
  { heads, kvHeads, headSize, hidden }: DecoderConfig,
  { context, attentionWindows }: StatsOutline,
): SearchPeak {
  const queries = 4 * context * heads * headSize;
  const kv = 4 * context * kvHeads * headSize;
  const product = 4 * context * hidden;
  const projection = weightTensors(model, `${linearName(0, "o")}.weight`);
  return {
    phases: [[...projection, queries, kv, kv, queries, product]],
    hostBytes: hostPeak({
      arrays: attentionWindows * (queries + 2 * kv) + 3 * sumOf(projection) + 2 * product + 3 * kv,
      staged: sumOf(projection) + queries + 2 * kv,
    }),
  };
}
