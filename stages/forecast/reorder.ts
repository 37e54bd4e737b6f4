import type { Forecast } from "../../pipeline/stage.ts";
import { architectureOf } from "../models/architecture.ts";
import type { LinearOutline, Tap } from "../models/site.ts";
import { ORDERINGS } from "../channels/order.ts";
import { jsonBytes, type ModelOutline, type StatsOutline } from "./outlines.ts";
import { changedRecord, forecastRewrite, SOME_FIGURE } from "./rewrite.ts";
import { linearSearch, withSearches } from "./search.ts";

type Place = "residual" | "out_proj" | "down_proj";

/** What permuting channels takes: matrices with permuted outputs are held whole, twice. */
export function forecastReorder(
  { model, stats }: { readonly model: ModelOutline; readonly stats: StatsOutline },
  params: { readonly sites: readonly Place[]; readonly strategy: "manual" | "grid" },
): Forecast {
  const { config: { inner, hidden, heads, headSize }, layers, head } = architectureOf(model.config);
  const has = (place: Place) => params.sites.includes(place);
  const choice = {
    ordering: { metric: "inputs_abs_max", index: "sequential" },
    ...params.strategy === "grid" && { error: { before: SOME_FIGURE, after: SOME_FIGURE } },
  };
  const changes = new Map<string, number>();
  const choices: unknown[] = [];
  const whole = new Set<string | undefined>();
  const columns = new Set<string>();
  for (const { index: layer, taps, ...at } of layers) {
    const changed = ({ name, channels }: Tap) => changes.set(`${name}.index`, channels);
    const rows = (each: Pick<LinearOutline, "weight" | "bias">) =>
      whole.add(each.weight).add(each.bias);
    const [out, down] = [at.site("attention.out"), at.site("mlp.out")];
    for (const { weight } of [...out.linears, ...down.linears]) columns.add(weight);
    if (has("out_proj")) {
      changed(out);
      changed(taps.values);
      rows(taps.values.fedBy);
      choices.push({ place: "out_proj", layer, ...choice });
    }
    if (has("down_proj")) {
      changed(down);
      at.site("mlp.in").linears.forEach(rows);
      choices.push({ place: "down_proj", layer, ...choice });
    }
    if (!has("residual")) continue;
    at.sites.filter(({ residual }) => residual === "read").forEach(changed);
    [...out.linears, ...down.linears].forEach(rows);
  }
  if (has("residual")) {
    changes.set(`${head.name}.index`, hidden);
    choices.push({ place: "residual", ...choice });
  }
  const forecast = forecastRewrite(model, {
    record: changedRecord(model.record, "reorder", params),
    edit(name) {
      if (whole.has(name)) return "whole";
      return has("residual") || columns.has(name) ? "rows" : undefined;
    },
    // The rows as they were.
    scratch: 4,
    changes,
    besideBytes: jsonBytes({ choices }),
  });
  if (params.strategy === "manual") return forecast;
  const searched = {
    out_proj: { columns: heads * headSize, rows: hidden },
    down_proj: { columns: inner, rows: hidden },
    residual: { columns: hidden, rows: Math.max(inner, heads * headSize) },
  };
  const candidates = 1 + ORDERINGS.length;
  return withSearches(
    forecast,
    params.sites.map((site) => linearSearch({ ...searched[site], inputs: stats.rows, candidates })),
  );
}
