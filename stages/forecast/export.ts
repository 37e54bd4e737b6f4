import type { Forecast } from "../../pipeline/stage.ts";
import { FORMATS } from "../exchange/find_format.ts";
import type { FormatOptions } from "../exchange/format.ts";
import { refuseExport } from "../exchange/refusal.ts";
import { subjectOf, without } from "../exchange/subject.ts";
import { hostPeak } from "../models/peaks.ts";
import {
  type ModelOutline,
  parsedBytes,
  type ReportOutline,
  type StatsOutline,
} from "./outlines.ts";

/** Bytes of `provenance.json` and the README. */
const TOLD = 10_000;
/** Bytes a weight takes on the host: its code, as packed, and its values in single precision twice. */
const WEIGHT = 11;
/** Values compared at once. */
const PIECE_VALUES = 2 ** 24;

/** What exporting takes: the codes of the largest linear, and the files; refuses what will be. */
export function forecastExport(
  { model }: {
    readonly model: ModelOutline;
    readonly stats: StatsOutline | undefined;
    readonly reports: readonly ReportOutline[];
  },
  { format: name, dtype, type, ignore, shard_bytes: shardBytes }: {
    readonly format: string;
    readonly dtype: FormatOptions["dtype"];
    readonly type?: FormatOptions["type"] | undefined;
    readonly ignore: readonly ("activations" | "kv")[];
    readonly shard_bytes: number;
  },
): Forecast {
  const options = { dtype, shardBytes, ...type && { type } };
  const subject = without(subjectOf(model), ignore);
  refuseExport(name, subject, { options, formats: FORMATS });
  const largest = subject.linears.reduce(
    (most, { rows, columns }) => Math.max(most, rows * columns),
    0,
  );
  const arrays = 3 * largest + WEIGHT * Math.min(PIECE_VALUES, largest);
  return {
    deviceBytes: 0,
    hostBytes: hostPeak({ arrays }) + parsedBytes(model),
    diskBytes: FORMATS[name]!.weightBytes(subject, options) + model.textBytes + TOLD,
    facts: {},
  };
}
