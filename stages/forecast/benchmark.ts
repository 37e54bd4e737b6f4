import type { Forecast } from "../../pipeline/stage.ts";
import { pagesOf } from "../benchmark/batches.ts";
import {
  randomModels,
  type RandomWishes,
  refuseNeitherNorBoth,
  refuseTooLong,
} from "../benchmark/subjects.ts";
import { kvSchemes, pageBytes } from "../engine/kv_pools.ts";
import { STEP_LOGIT_BYTES } from "../engine/paged_model.ts";
import { architectureOf } from "../models/architecture.ts";
import { type ModelHeaders, weightTensors } from "../models/device_tensors.ts";
import { sizesOf } from "../models/model_facts.ts";
import { hostPeak, sumOf } from "../models/peaks.ts";
import { type ModelOutline, parsedBytes, type ReportOutline } from "./outlines.ts";

/** Bytes of the report and its plot, and what each model, batch and round adds. */
const TOLD = 10_000;
const MODEL = 1_000;
const BATCH = 600;
const ROUND = 300;

/** What measuring models takes: the memory it is given, or what the largest batch needs of it. */
export function forecastBenchmark(
  { models }: { readonly models: readonly ModelOutline[] },
  { prompt, output, batch, most, memory, rounds, shape, precisions }: {
    readonly prompt: number;
    readonly output: number;
    readonly batch: "auto" | readonly number[];
    readonly most: number;
    readonly memory?: number | undefined;
    readonly rounds: number;
    readonly shape?: RandomWishes["shape"] | undefined;
    readonly precisions: RandomWishes["precisions"];
  },
  { memoryBytes }: { readonly memoryBytes: number },
): Forecast {
  refuseNeitherNorBoth(models.length, shape);
  const headers: ModelHeaders[] = shape
    ? randomModels({ shape, precisions }).map(({ model }) => model)
    : models.map(({ config, record, tensors }) => ({
      architecture: architectureOf(config),
      record,
      tensors,
    }));
  const budget = memory ?? memoryBytes;
  const sequences = batch === "auto" ? most : Math.max(...batch);
  const takes = headers.map(({ architecture, record, tensors }, at) => {
    const { config } = architecture;
    refuseTooLong(config.positions, { label: `model ${at + 1}`, prompt, output });
    const pages = (pagesOf({ prompt, output }) + 1) * sequences;
    const cache = pages * pageBytes(config, kvSchemes(config, record));
    const step = 4 * sequences * 8 * config.hidden + 3 * STEP_LOGIT_BYTES;
    return Math.min(budget, sizesOf({ tensors }, architecture).bytes + cache + step);
  });
  const staged = headers.map(({ tensors, architecture: { embeddings, head } }) =>
    sumOf(
      [embeddings, head.linears[0].weight].flatMap((name) => weightTensors({ tensors }, name)),
    )
  );
  const largest = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), 0);
  const count = headers.length * (batch === "auto" ? 2 + Math.log2(most) / 2 : batch.length);
  const parsed = sumOf(models.map(parsedBytes));
  return {
    deviceBytes: largest(takes),
    hostBytes: hostPeak({ arrays: 2 ** 26, staged: largest(staged) }) + parsed,
    diskBytes: TOLD + MODEL * headers.length + count * (BATCH + ROUND * rounds),
    ...shape && { workBytes: largest(headers.map((one) => sizesOf(one, one.architecture).bytes)) },
    facts: { layers: 0, kvLayers: 0 } satisfies ReportOutline,
  };
}
