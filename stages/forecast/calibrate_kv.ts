import type { Forecast } from "../../pipeline/stage.ts";
import { PAGE_TOKENS, pageWords } from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { architectureOf } from "../models/architecture.ts";
import { heldBytes, hostPeak, sumOf } from "../models/peaks.ts";
import {
  jsonBytes,
  modelBytes,
  type ModelOutline,
  parsedBytes,
  safetensorsBytes,
  type StatsOutline,
} from "./outlines.ts";
import { changedRecord, SOME_FIGURE } from "./rewrite.ts";

/** What measuring the KV cache takes: the kept windows of one layer; weights become links. */
export function forecastCalibrateKv(
  { model, stats }: { readonly model: ModelOutline; readonly stats: StatsOutline },
  params: {
    readonly bits: 4 | 8;
    readonly zero: KvScheme["zero"];
    readonly group: number | "head";
    readonly range: "dynamic" | "static";
  },
): Forecast {
  const { config } = architectureOf(model.config);
  const { heads, kvHeads, headSize, layers } = config;
  const scheme: KvScheme = {
    bits: params.bits,
    zero: params.zero,
    group: params.group === "head" ? headSize : params.group,
    ...params.range === "static" && { range: SOME_FIGURE },
  };
  const record = changedRecord(model.record, "calibrate_kv", params);
  const facts: ModelOutline = {
    ...model,
    record: {
      ...record,
      kv: Array.from({ length: layers }, () => ({ key: scheme, value: scheme })),
      measured: { ...record.measured, kv: Array<number>(layers).fill(SOME_FIGURE) },
    },
    lineageBytes: [...model.lineageBytes, safetensorsBytes([])],
  };
  const diskBytes = modelBytes(facts);
  const queries = 4 * stats.context * heads * headSize;
  const keys = 4 * stats.context * kvHeads * headSize;
  const pages = 4 * Math.ceil(stats.context / PAGE_TOKENS) * pageWords(scheme, kvHeads, headSize);
  const windows = Array.from({ length: stats.attentionWindows }, () => [queries, keys, keys]);
  return {
    deviceBytes: heldBytes([[...windows.flat(), queries, pages, pages]]),
    hostBytes: hostPeak({
      arrays: stats.attentionWindows * (2 * queries + 2 * keys) + queries,
      staged: sumOf(windows.flat()) + queries,
    }) + parsedBytes(model),
    diskBytes,
    linkedBytes: diskBytes - jsonBytes(facts.record) - 1 - sumOf(facts.lineageBytes),
    facts,
  };
}
