import { Counter, Gauge, type Metric, type MetricValueWithName, type Registry } from "prom-client";
import type { Engine, EngineState } from "../engine/engine.ts";
import { STEP_BOUNDS, type StepSizes } from "../engine/step_sizes.ts";

/** Labels of all figures of a model, as vLLM has them. */
export const MODEL_LABELS = ["model_name", "engine"] as const;

/** The labels of a model's figures. */
export function labelsOf(model: string): Record<(typeof MODEL_LABELS)[number], string> {
  return { model_name: model, engine: "0" };
}

/** An engine, and the name of its model. */
export interface NamedEngine {
  readonly engine: Engine;
  readonly model: string;
  /** Names of its adapters, by their numbers from 1 on. */
  readonly adapters: readonly string[];
}

/** Own name, vLLM's where it has some, meaning, and where the engine has the number. */
type Reading = readonly [
  own: string,
  vllm: readonly string[],
  help: string,
  read: (state: EngineState) => number,
];

const usage = ({ pages }: EngineState) => pages.used / Math.max(1, pages.total);

/**
 * Numbers that an engine keeps. vLLM's names are those of `vllm/v1/metrics/loggers.py` at commit
 * 005a810, the earlier ones with `gpu_` included, which older dashboards ask for.
 */
const READINGS: readonly Reading[] = [
  ["requests_running", ["num_requests_running"], "Requests in the batch", (s) => s.running],
  ["requests_waiting", ["num_requests_waiting"], "Requests in the queue", (s) => s.waiting],
  ["waiting_tokens", [], "Tokens of prompts in the queue", (s) => s.waitingTokens],
  ["pages_used", [], "Pages of the KV cache in use", (s) => s.pages.used],
  ["pages_cached", [], "Pages kept for prompts to come", (s) => s.pages.cached],
  ["pages", [], "Pages of the KV cache", (s) => s.pages.total],
  [
    "kv_cache_usage_ratio",
    ["kv_cache_usage_perc", "gpu_cache_usage_perc"],
    "Share of the KV cache in use; 1 is all of it",
    usage,
  ],
  ["steps_total", [], "Steps of the engine", (s) => s.steps],
  ["prompt_tokens_total", ["prompt_tokens_total"], "Tokens of prompts", (s) => s.promptTokens],
  [
    "generated_tokens_total",
    ["generation_tokens_total"],
    "Tokens generated",
    (s) => s.generatedTokens,
  ],
  ["preemptions_total", ["num_preemptions_total"], "Requests set back", (s) => s.preemptions],
  [
    "prefix_cache_queries_total",
    ["prefix_cache_queries_total", "gpu_prefix_cache_queries_total"],
    "Tokens looked for in the prefix cache",
    (s) => s.prefixCache.queries,
  ],
  [
    "prefix_cache_hits_total",
    ["prefix_cache_hits_total", "gpu_prefix_cache_hits_total"],
    "Tokens found in the prefix cache",
    (s) => s.prefixCache.hits,
  ],
  [
    "drafts_total",
    ["spec_decode_num_drafts_total"],
    "Drafts of answers that were run",
    (s) => s.speculation.drafts,
  ],
  [
    "draft_tokens_total",
    ["spec_decode_num_draft_tokens_total"],
    "Tokens of drafts",
    (s) => s.speculation.draftTokens,
  ],
  [
    "accepted_tokens_total",
    ["spec_decode_num_accepted_tokens_total"],
    "Tokens of drafts that were right",
    (s) => s.speculation.acceptedTokens,
  ],
];

/** Registers what engines keep; their numbers are read when somebody asks for them. */
export function registerEngines(
  registry: Registry,
  engines: () => readonly NamedEngine[],
): void {
  const registers = [registry];
  for (const [own, vllm, help, read] of READINGS) {
    const Kind = own.endsWith("_total") ? Counter : Gauge;
    for (const name of [`quattuor_${own}`, ...vllm.map((name) => `vllm:${name}`)]) {
      const collect = function (this: Counter | Gauge) {
        this.reset();
        for (const { engine, model } of engines()) this.inc(labelsOf(model), read(engine.stats()));
      };
      new Kind({ name, help, labelNames: MODEL_LABELS, registers, collect });
    }
  }
  for (const name of ["quattuor_step_tokens", "vllm:iteration_tokens_total"]) {
    registry.registerMetric(stepHistogram(name, engines) as unknown as Metric);
  }
  registerAdapters(registry, engines);
  new Gauge({
    name: "vllm:cache_config_info",
    help: "The KV cache",
    labelNames: [...MODEL_LABELS, "num_gpu_blocks", "enable_prefix_caching"],
    registers,
    collect() {
      this.reset();
      for (const { engine, model } of engines()) {
        this.set({
          ...labelsOf(model),
          num_gpu_blocks: String(engine.stats().pages.total),
          enable_prefix_caching: "True",
        }, 1);
      }
    },
  });
}

/**
 * Which adapters requests go through at the moment, as vLLM tells it: in labels, the value being when it
 * was so. Nothing where a model has none.
 */
function registerAdapters(registry: Registry, engines: () => readonly NamedEngine[]): void {
  new Gauge({
    name: "vllm:lora_requests_info",
    help: "LoRA adapters that requests go through",
    labelNames: [...MODEL_LABELS, "max_lora", "running_lora_adapters", "waiting_lora_adapters"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { engine, model, adapters } of engines()) {
        if (adapters.length === 0) continue;
        const { running, waiting } = engine.stats().adapters;
        const names = (numbers: readonly number[]) =>
          numbers.map((number) => adapters[number - 1]!).join(",");
        this.set({
          ...labelsOf(model),
          max_lora: String(adapters.length),
          running_lora_adapters: names(running),
          waiting_lora_adapters: names(waiting),
        }, Date.now() / 1000);
      }
    },
  });
}

/** What a metric is to a registry that asks it for its values. */
interface AskedMetric {
  readonly name: string;
  get(): Promise<object>;
}

/** A histogram whose counts an engine keeps. */
function stepHistogram(name: string, engines: () => readonly NamedEngine[]): AskedMetric {
  const help = "Tokens of a step of the engine, of prompts and generated";
  return {
    name,
    get: () =>
      Promise.resolve({
        name,
        help,
        type: "histogram",
        aggregator: "sum",
        values: engines().flatMap(({ engine, model }) =>
          stepValues(name, labelsOf(model), engine.stats().stepSizes)
        ),
      }),
  };
}

function stepValues(
  name: string,
  labels: Readonly<Record<string, string>>,
  { counts, tokens }: StepSizes,
): MetricValueWithName<string>[] {
  let steps = 0;
  const buckets = counts.map((count, at) => ({
    metricName: `${name}_bucket`,
    labels: { le: String(STEP_BOUNDS[at] ?? "+Inf"), ...labels },
    value: steps += count,
  }));
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: tokens },
    { metricName: `${name}_count`, labels, value: steps },
  ];
}
