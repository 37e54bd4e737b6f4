import { Counter, Histogram, Registry } from "prom-client";
import type { GenerationEvent, GenerationRequest } from "../engine/engine.ts";
import { labelsOf, MODEL_LABELS, type NamedEngine, registerEngines } from "./engine_figures.ts";

/** What a server counts, for Prometheus. */
export interface ServerMetrics {
  readonly contentType: string;
  /** Everything as text. */
  text(): Promise<string>;
  /** Counts an answer of a route. */
  count(route: string, status: number): void;
  /** The same with what is counted of a model. */
  of(model: string): ServeMetrics;
}

/** What is counted of a model, beside what is counted of the server. */
export interface ServeMetrics extends Omit<ServerMetrics, "of"> {
  /** Counts a request for so many answers to each prompt. */
  asked(answers: number): void;
  /** Passes on what an engine generates, and measures it. */
  watch(events: AsyncIterable<GenerationEvent>, about: Watched): AsyncGenerator<GenerationEvent>;
}

/** What `watch()` must know of a request. */
export interface Watched {
  readonly request: GenerationRequest;
  /** Aborted when the request is given up. */
  readonly signal: AbortSignal;
}

const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];
/** Buckets that vLLM has. */
const ANSWERS = [1, 2, 5, 10, 20];

/** Starts counting; every number has vLLM's name as well, so that dashboards made for it work. */
export function openMetrics(engines: () => readonly NamedEngine[]): ServerMetrics {
  const registry = new Registry();
  const registers = [registry];
  registerEngines(registry, engines);
  const observing = (names: readonly string[], help: string, buckets: number[]) => {
    const all = names.map((name) =>
      new Histogram({ name, labelNames: MODEL_LABELS, registers, help, buckets })
    );
    return (model: string, value: number) =>
      all.forEach((one) => one.observe(labelsOf(model), value));
  };
  // vLLM's names are the same unless said.
  const timed = (help: string, own: string, ...vllm: readonly string[]) =>
    observing(
      [`quattuor_${own}_seconds`, ...named(own, vllm).map((name) => `vllm:${name}_seconds`)],
      `Seconds ${help}`,
      SECONDS,
    );
  const sized = (help: string, own: string, ...vllm: readonly string[]) =>
    observing(
      [`quattuor_${own}_tokens`, ...named(own, vllm).map((name) => `vllm:${name}_tokens`)],
      `Tokens ${help}`,
      TOKENS,
    );
  const seen = {
    first: timed("until the first token", "time_to_first_token"),
    between: timed("between tokens", "inter_token_latency"),
    perToken: timed(
      "a token behind the first",
      "time_per_output_token",
      "time_per_output_token",
      "request_time_per_output_token",
    ),
    whole: timed("until the end of an answer", "request", "e2e_request_latency"),
    queued: timed("in the queue", "request_queue", "request_queue_time"),
    prefill: timed("from the queue to the first token", "request_prefill", "request_prefill_time"),
    perPrompt: timed(
      "of prefill a token of the prompt",
      "request_prefill_per_token",
      "time_per_prefill_token_request",
    ),
    inference: timed(
      "from the queue to the last token",
      "request_inference",
      "request_inference_time",
    ),
    decode: timed("from the first token to the last", "request_decode", "request_decode_time"),
    prompt: sized("of a prompt", "request_prompt"),
    tokens: sized(
      "of an answer",
      "request_generated",
      "request_generation",
      "request_max_num_generation",
    ),
    most: sized("asked for at most", "request_max", "request_params_max"),
    answers: observing(
      ["quattuor_request_answers", "vllm:request_params_n"],
      "Answers asked for to each prompt",
      ANSWERS,
    ),
  };
  const ended = ["quattuor_requests_total", "vllm:request_success_total"].map((name) =>
    new Counter({
      name,
      help: "Answers by how they ended",
      labelNames: [...MODEL_LABELS, "finished_reason"],
      registers,
    })
  );
  const http = new Counter({
    name: "quattuor_http_requests_total",
    help: "Requests by route and status",
    labelNames: ["route", "status"],
    registers,
  });
  const server = {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    count: (route: string, status: number) => http.inc({ route, status: String(status) }),
  };
  const of = (model: string): ServeMetrics => ({
    ...server,
    asked: (answers) => seen.answers(model, answers),
    async *watch(events, { request, signal }) {
      const start = performance.now();
      let [first, last, count] = [start, start, 0];
      let queued = 0;
      let reason: string | undefined;
      seen.prompt(model, request.prompt.length);
      seen.most(model, request.maxTokens);
      try {
        for await (const event of events) {
          if (event.type === "token") {
            const now = performance.now();
            if (count++ === 0) seen.first(model, ((first = now) - start) / 1000);
            else seen.between(model, (now - last) / 1000);
            last = now;
          } else if (event.type === "prompt") {
            queued = event.queued;
            seen.queued(model, queued);
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
        for (const one of ended) one.inc({ ...labelsOf(model), finished_reason: reason });
        if (reason === "stop" || reason === "length") {
          seen.tokens(model, count);
          seen.whole(model, (performance.now() - start) / 1000);
          seen.decode(model, (last - first) / 1000);
          if (count > 0) {
            const prefill = Math.max(0, (first - start) / 1000 - queued);
            seen.prefill(model, prefill);
            seen.perPrompt(model, prefill / request.prompt.length);
            seen.inference(model, Math.max(0, (last - start) / 1000 - queued));
          }
          if (count > 1) seen.perToken(model, (last - first) / 1000 / (count - 1));
        }
      }
    },
  });
  return { ...server, of };
}

function named(own: string, vllm: readonly string[]): readonly string[] {
  return vllm.length > 0 ? vllm : [own];
}
