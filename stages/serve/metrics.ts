import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Engine, EngineState, GenerationEvent, GenerationRequest } from "../engine/engine.ts";
import type { ModelCard } from "./model_card.ts";

/** What a server counts, for Prometheus. */
export interface ServeMetrics {
  readonly contentType: string;
  /** Everything as text. */
  text(): Promise<string>;
  /** Passes on what an engine generates, and measures it. */
  watch(events: AsyncIterable<GenerationEvent>, about: Watched): AsyncGenerator<GenerationEvent>;
  /** Counts an answer of a route. */
  count(route: string, status: number): void;
}

/** What `watch()` must know of a request. */
export interface Watched {
  readonly request: GenerationRequest;
  /** Aborted when the request is given up. */
  readonly signal: AbortSignal;
}

const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];

/** Own name, vLLM's where it has one, meaning, and where the engine has the number. */
type Reading = readonly [
  own: string,
  vllm: string | undefined,
  help: string,
  read: (state: EngineState) => number,
];

const GAUGES: readonly Reading[] = [
  ["requests_running", "num_requests_running", "Requests in the batch", (s) => s.running],
  ["requests_waiting", "num_requests_waiting", "Requests in the queue", (s) => s.waiting],
  ["waiting_tokens", undefined, "Tokens of prompts in the queue", (s) => s.waitingTokens],
  ["pages_used", undefined, "Pages of the KV cache in use", (s) => s.pages.used],
  ["pages_cached", undefined, "Pages kept for prompts to come", (s) => s.pages.cached],
  ["pages", undefined, "Pages of the KV cache", (s) => s.pages.total],
  [
    "kv_cache_usage_ratio",
    "kv_cache_usage_perc",
    "Share of the KV cache in use; 1 is all of it",
    (s) => s.pages.used / Math.max(1, s.pages.total),
  ],
];

const COUNTERS: readonly Reading[] = [
  ["steps_total", undefined, "Steps of the engine", (s) => s.steps],
  ["prompt_tokens_total", "prompt_tokens_total", "Tokens of prompts", (s) => s.promptTokens],
  [
    "generated_tokens_total",
    "generation_tokens_total",
    "Tokens generated",
    (s) => s.generatedTokens,
  ],
  ["preemptions_total", "num_preemptions_total", "Requests set back", (s) => s.preemptions],
  [
    "prefix_cache_queries_total",
    "prefix_cache_queries_total",
    "Tokens looked for in the prefix cache",
    (s) => s.prefixCache.queries,
  ],
  [
    "prefix_cache_hits_total",
    "prefix_cache_hits_total",
    "Tokens found in the prefix cache",
    (s) => s.prefixCache.hits,
  ],
  [
    "drafts_total",
    "spec_decode_num_drafts_total",
    "Drafts of answers that were run",
    (s) => s.speculation.drafts,
  ],
  [
    "draft_tokens_total",
    "spec_decode_num_draft_tokens_total",
    "Tokens of drafts",
    (s) => s.speculation.draftTokens,
  ],
  [
    "accepted_tokens_total",
    "spec_decode_num_accepted_tokens_total",
    "Tokens of drafts that were right",
    (s) => s.speculation.acceptedTokens,
  ],
];

/** Starts counting; every number has vLLM's name as well, so that dashboards made for it work. */
export function openMetrics(engine: Engine, card: ModelCard): ServeMetrics {
  const registry = new Registry();
  const labels = { model_name: card.name, engine: "0" };
  const labelNames = ["model_name", "engine"];
  const registers = [registry];
  readEngine(engine, { registers, labels });
  new Gauge({
    name: "vllm:cache_config_info",
    help: "The KV cache",
    labelNames: [...labelNames, "num_gpu_blocks"],
    registers,
    collect() {
      this.reset();
      this.set({ ...labels, num_gpu_blocks: String(engine.stats().pages.total) }, 1);
    },
  });
  const observing = (names: readonly string[], help: string, buckets: number[]) => {
    const all = names.map((name) => new Histogram({ name, labelNames, registers, help, buckets }));
    return (value: number) => all.forEach((one) => one.observe(labels, value));
  };
  // vLLM's name is the same unless said.
  const timed = (help: string, own: string, vllm = own) =>
    observing([`quattuor_${own}_seconds`, `vllm:${vllm}_seconds`], `Seconds ${help}`, SECONDS);
  const sized = (help: string, own: string, vllm = own) =>
    observing([`quattuor_${own}_tokens`, `vllm:${vllm}_tokens`], `Tokens ${help}`, TOKENS);
  const seen = {
    first: timed("until the first token", "time_to_first_token"),
    between: timed("between tokens", "inter_token_latency"),
    perToken: timed("a token behind the first", "time_per_output_token"),
    whole: timed("until the end of an answer", "request", "e2e_request_latency"),
    queued: timed("in the queue", "request_queue", "request_queue_time"),
    prefill: timed("from the queue to the first token", "request_prefill", "request_prefill_time"),
    inference: timed(
      "from the queue to the last token",
      "request_inference",
      "request_inference_time",
    ),
    decode: timed("from the first token to the last", "request_decode", "request_decode_time"),
    prompt: sized("of a prompt", "request_prompt"),
    tokens: sized("of an answer", "request_generated", "request_generation"),
    most: sized("asked for at most", "request_max", "request_params_max"),
  };
  const ended = ["quattuor_requests_total", "vllm:request_success_total"].map((name) =>
    new Counter({
      name,
      help: "Answers by how they ended",
      labelNames: [...labelNames, "finished_reason"],
      registers,
    })
  );
  const http = new Counter({
    name: "quattuor_http_requests_total",
    help: "Requests by route and status",
    labelNames: ["route", "status"],
    registers,
  });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    count: (route, status) => http.inc({ route, status: String(status) }),
    async *watch(events, { request, signal }) {
      const start = performance.now();
      let [first, last, count] = [start, start, 0];
      let queued = 0;
      let reason: string | undefined;
      seen.prompt(request.prompt.length);
      seen.most(request.maxTokens);
      try {
        for await (const event of events) {
          if (event.type === "token") {
            const now = performance.now();
            if (count++ === 0) seen.first(((first = now) - start) / 1000);
            else seen.between((now - last) / 1000);
            last = now;
          } else if (event.type === "prompt") {
            queued = event.queued;
            seen.queued(queued);
          } else if (event.type === "end") {
            reason = event.reason;
          }
          yield event;
        }
      } catch (error) {
        reason = signal.aborted ? "abort" : "error";
        throw error;
      } finally {
        // A reader that leaves has found a text that ends the answer.
        reason ??= "stop";
        for (const one of ended) one.inc({ ...labels, finished_reason: reason });
        if (reason === "stop" || reason === "length") {
          seen.tokens(count);
          seen.whole((performance.now() - start) / 1000);
          seen.decode((last - first) / 1000);
          if (count > 0) {
            seen.prefill(Math.max(0, (first - start) / 1000 - queued));
            seen.inference(Math.max(0, (last - start) / 1000 - queued));
          }
          if (count > 1) seen.perToken((last - first) / 1000 / (count - 1));
        }
      }
    },
  };
}

interface Registered {
  readonly registers: Registry[];
  readonly labels: Readonly<Record<string, string>>;
}

/** Numbers the engine keeps are read when somebody asks for them. */
function readEngine(engine: Engine, { registers, labels }: Registered): void {
  const labelNames = Object.keys(labels);
  for (const [own, vllm, help, read] of [...GAUGES, ...COUNTERS]) {
    const Kind = own.endsWith("_total") ? Counter : Gauge;
    for (const name of [`quattuor_${own}`, ...vllm === undefined ? [] : [`vllm:${vllm}`]]) {
      const collect = function (this: Counter | Gauge) {
        this.reset();
        this.inc(labels, read(engine.stats()));
      };
      new Kind({ name, help, labelNames, registers, collect });
    }
  }
}
