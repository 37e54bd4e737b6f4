import type { Forecast } from "../../pipeline/stage.ts";
import { elements } from "../../kernels/device/tensor.ts";
import { evaluationPeaks, weightBudget, windowsAtOnce } from "../metrics/evaluation_memory.ts";
import { architectureOf } from "../models/architecture.ts";
import { sizesOf } from "../models/model_facts.ts";
import {
  jsonBytes,
  type ModelOutline,
  type ReportOutline,
  type TokensOutline,
} from "./outlines.ts";
import { SOME_DIGEST, SOME_FIGURE } from "./rewrite.ts";

/** What scoring a model takes, by the formulas of the stage's own estimate. */
export function forecastEvaluate(
  { model, tokens, baseline, baseline_model: other }: {
    readonly model: ModelOutline;
    readonly tokens: TokensOutline;
    readonly baseline: ReportOutline | undefined;
    readonly baseline_model: ModelOutline | undefined;
  },
  { context, windows: asked, keep_hidden }: {
    readonly context: number;
    readonly windows: number | "all";
    readonly keep_hidden: boolean;
  },
  { memoryBytes }: { readonly memoryBytes: number },
): Forecast {
  const { record, tensors } = model;
  const architecture = architectureOf(model.config);
  const { config } = architecture;
  const windows = asked === "all" ? Math.floor(tokens.count / context) : asked;
  const compared = baseline && other ? headOf(other) : undefined;
  const resident = sizesOf(model, architecture).bytes <=
    weightBudget(memoryBytes, compared?.headBytes ?? 0);
  const group = windowsAtOnce({ config, resident }, { memoryBytes, context, windows });
  const scored = 4 * windows * (context - 1);
  const hidden = keep_hidden ? 4 * windows * context * config.hidden : 0;
  const errors = Object.keys(record.linears).length > 0 ? config.layers : 0;
  const facts: ReportOutline = { layers: errors, kvLayers: record.kv.length };
  const files = (compared ? 2 : 1) * scored + hidden;
  // Two layers' streams take turns.
  const streams = group > 1 ? 2 * 4 * group * context * config.hidden : 0;
  return {
    ...evaluationPeaks({ architecture, record, tensors }, {
      context,
      group,
      resident,
      baseline: compared,
    }),
    diskBytes: files + reportBytes(facts, { windows, compared: compared !== undefined }),
    // The journal keeps every window until the last one is scored, and the group at work.
    workBytes: files + streams,
    facts,
  };
}

function headOf({ config: json, tensors }: ModelOutline) {
  const { config, head: { linears: [output] } } = architectureOf(json);
  const { shape = [0], dtype } = tensors.get(output.weight) ?? {};
  return { config, headBytes: elements(shape) * (dtype === "F16" ? 2 : 4) };
}

/** Bytes of a report with figures in the place of those that are not measured yet. */
function reportBytes(
  { layers, kvLayers }: ReportOutline,
  { windows, compared }: { readonly windows: number; readonly compared: boolean },
): number {
  const figures = (count: number) => Array<number>(count).fill(SOME_FIGURE);
  const scores = { perplexity: SOME_FIGURE };
  const more = { perplexity_ratio: SOME_FIGURE, kl: SOME_FIGURE, top1: SOME_FIGURE };
  return 1 + jsonBytes({
    scores: compared ? { ...scores, ...more } : scores,
    protocol: { id: " ".repeat(77), context: 512, windows, tokens: SOME_DIGEST },
    model: {
      digest: SOME_DIGEST,
      parameters: 1e8,
      bytes: 1e8,
      bitsPerWeight: 4.125,
      kvBytesPerToken: 1e4,
      scheme: " ".repeat(32),
      layers: Array.from({ length: layers }, (_, layer) => ({ layer, error: SOME_FIGURE })),
      kvErrors: figures(kvLayers),
    },
    ...compared && { baseline: SOME_DIGEST },
    windowMeans: figures(windows),
    hidden: true,
  });
}
