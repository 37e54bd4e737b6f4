import type { Forecast } from "../../pipeline/stage.ts";
import { weightTensors } from "../models/device_tensors.ts";
import type { DecoderConfig } from "../models/config.ts";
import { architectureOf } from "../models/architecture.ts";
import { type LinearOutline, roleOf, type Tap } from "../models/site.ts";
import { hostPeak, sumOf } from "../models/peaks.ts";
import { familyOf } from "../channels/exponent_signs.ts";
import { exponentCandidates } from "../channels/smoothing_candidates.ts";
import {
  type AttentionSmoothing,
  type ProjectionSmoothing,
  spanPairs,
} from "../channels/smoothing_params.ts";
import { jsonBytes, type ModelOutline, type StatsOutline } from "./outlines.ts";
import { changedRecord, forecastRewrite, SOME_FIGURE } from "./rewrite.ts";
import { linearSearch, type SearchPeak, withSearches } from "./search.ts";

/** What scaling channels takes, and searching for the scales. */
export function forecastSmooth(
  { model, stats }: { readonly model: ModelOutline; readonly stats: StatsOutline },
  { projections, attention }: {
    readonly projections?: ProjectionSmoothing | undefined;
    readonly attention?: AttentionSmoothing | undefined;
  },
): Forecast {
  const { config, layers } = architectureOf(model.config);
  const places = [...attention ? ["attention" as const] : [], ...projections?.sites ?? []];
  const changes = new Map<string, number>();
  const choices: unknown[] = [];
  const edited = new Set<string | undefined>();
  for (const { index: layer, taps, ...at } of layers) {
    const changed = ({ name, channels }: Tap) => changes.set(`${name}.scale`, channels);
    const edit = (each: Pick<LinearOutline, "weight" | "bias">) =>
      edited.add(each.weight).add(each.bias);
    for (const place of places) {
      const { strategy, alpha, beta } = (place === "attention" ? attention : projections)!;
      const error = { before: SOME_FIGURE, after: SOME_FIGURE };
      const spans = ["abs_max", "abs_max"];
      choices.push({ layer, place, spans, alpha, beta, ...strategy === "grid" && { error } });
      if (place === "attention") {
        for (const tap of [taps.queries, taps.keys]) {
          changed(tap);
          edit(tap.fedBy);
        }
        continue;
      }
      const site = at.site(roleOf(place));
      changed(site);
      [...site.linears, site.fedBy].forEach(edit);
      if (place === "out_proj") changed(taps.values);
    }
  }
  const params = { ...projections && { projections }, ...attention && { attention } };
  const forecast = forecastRewrite(model, {
    record: changedRecord(model.record, "smooth", params),
    edit: (name) => edited.has(name) ? "rows" : undefined,
    changes,
    besideBytes: jsonBytes({ choices }),
  });
  const searched = projections?.strategy === "grid" ? projections.sites : [];
  return withSearches(forecast, [
    ...searched.map((place) => {
      const { channels, linears } = layers[0]!.site(roleOf(place));
      return linearSearch({
        inputs: stats.rows,
        rows: Math.max(...linears.map(({ rows }) => rows)),
        columns: channels,
        candidates: candidatesOf(projections!),
      });
    }),
    ...attention?.strategy === "grid"
      ? [attentionSearch(weightTensors(model, layers[0]!.linear("o").weight), config, stats)]
      : [],
  ]);
}

function candidatesOf(params: ProjectionSmoothing): number {
  const family = params.candidates ?? familyOf(params);
  return spanPairs(params).length * exponentCandidates(family, params.grids).length;
}

/** A search by the errors of attention: a window's keys at a time, behind the output projection. */
function attentionSearch(
  projection: readonly number[],
  { heads, kvHeads, headSize, hidden }: DecoderConfig,
  { context, attentionWindows }: StatsOutline,
): SearchPeak {
  const queries = 4 * context * heads * headSize;
  const kv = 4 * context * kvHeads * headSize;
  const product = 4 * context * hidden;
  return {
    phases: [[...projection, queries, kv, kv, queries, product]],
    hostBytes: hostPeak({
      arrays: attentionWindows * (queries + 2 * kv) + 3 * sumOf(projection) + 2 * product + 3 * kv,
      staged: sumOf(projection) + queries + 2 * kv,
    }),
  };
}
