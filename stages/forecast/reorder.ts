import type { Forecast } from "../../pipeline/stage.ts";
import { channelsOf } from "../models/decoder.ts";
import { findFamily } from "../models/families/find_family.ts";
import { linearName } from "../models/names.ts";
import { ORDERINGS } from "../channels/order.ts";
import { jsonBytes, type ModelOutline, type StatsOutline } from "./outlines.ts";
import { attentionChange, changedRecord, forecastRewrite, SOME_FIGURE } from "./rewrite.ts";
import { linearSearch, withSearches } from "./search.ts";

type Place = "residual" | "out_proj" | "down_proj";

/** What permuting channels takes: matrices with permuted outputs are held whole, twice. */
export function forecastReorder(
  { model, stats }: { readonly model: ModelOutline; readonly stats: StatsOutline },
  params: { readonly sites: readonly Place[]; readonly strategy: "manual" | "grid" },
): Forecast {
  const config = findFamily(model.config).config(model.config);
  const { heads, kvHeads, headSize, inner, hidden, layers } = config;
  const has = (place: Place) => params.sites.includes(place);
  const choice = {
    ordering: { metric: "inputs_abs_max", index: "sequential" },
    ...params.strategy === "grid" && { error: { before: SOME_FIGURE, after: SOME_FIGURE } },
  };
  const changes = new Map<string, number>();
  const choices: unknown[] = [];
  const whole = new Set<string>();
  for (let layer = 0; layer < layers; layer++) {
    const linear = (role: Parameters<typeof linearName>[1]) =>
      void whole.add(linearName(layer, role));
    if (has("out_proj")) {
      changes.set(`layers.${layer}.attention.out.index`, heads * headSize);
      changes.set(attentionChange(layer, "values", "index"), kvHeads * headSize);
      linear("v");
      choices.push({ place: "out_proj", layer, ...choice });
    }
    if (has("down_proj")) {
      changes.set(`layers.${layer}.mlp.out.index`, inner);
      linear("gate");
      linear("up");
      choices.push({ place: "down_proj", layer, ...choice });
    }
    if (!has("residual")) continue;
    for (const site of ["attention.in", "mlp.in"]) {
      changes.set(`layers.${layer}.${site}.index`, hidden);
    }
    linear("o");
    linear("down");
  }
  if (has("residual")) {
    changes.set("head.index", hidden);
    choices.push({ place: "residual", ...choice });
  }
  const edited = (name: string) => has("residual") || /\.(o_proj|down_proj)\.weight$/.test(name);
  const forecast = forecastRewrite(model, {
    record: changedRecord(model.record, "reorder", params),
    edit(name) {
      if (whole.has(name.replace(/\.(weight|bias)$/, ""))) return "whole";
      return edited(name) ? "rows" : undefined;
    },
    // The rows as they were.
    scratch: 4,
    changes,
    besideBytes: jsonBytes({ choices }),
  });
  if (params.strategy === "manual") return forecast;
  const searched = {
    out_proj: { columns: channelsOf(config, "attention.out"), rows: hidden },
    down_proj: { columns: inner, rows: hidden },
    residual: { columns: hidden, rows: Math.max(inner, heads * headSize) },
  };
  const candidates = 1 + ORDERINGS.length;
  return withSearches(
    forecast,
    params.sites.map((site) => linearSearch({ ...searched[site], inputs: stats.rows, candidates })),
  );
}
