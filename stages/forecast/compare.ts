import type { Forecast } from "../../pipeline/stage.ts";
import { hostPeak } from "../models/peaks.ts";
import type { ReportOutline } from "./outlines.ts";

/** What drawing takes: the library and a picture as text. */
const DRAWING = 2 ** 25;
/** Bytes of two pictures without any model, and for each model and each layer's error. */
const EMPTY_PLOTS = 14_000;
const ROW = 1_000;
const POINT = 400;

/** What a comparison takes, roughly: it is small whatever it compares. */
export function forecastCompare(
  { reports }: { readonly reports: readonly ReportOutline[] },
  { plot }: { readonly plot: boolean },
): Forecast {
  const points = reports.reduce((sum, { layers, kvLayers }) => sum + layers + kvLayers, 0);
  const plots = plot ? EMPTY_PLOTS + ROW * reports.length + POINT * points : 0;
  // Once as they are and once in the page that holds them, beside a table.
  const diskBytes = 2 * plots + 1_500 * (1 + reports.length) + 60 * points;
  return {
    deviceBytes: 0,
    hostBytes: hostPeak({ arrays: diskBytes }) + (plot ? DRAWING : 0),
    diskBytes,
    facts: { layers: 0, kvLayers: 0 } satisfies ReportOutline,
  };
}
