import {
  type Engine,
  EngineError,
  type EngineState,
  type GenerationEvent,
  type GenerationRequest,
  type ScoredToken,
} from "../../stages/engine/engine.ts";

import { NO_STEPS } from "../../stages/engine/step_sizes.ts";

/** How a `FakeEngine` behaves. */
export interface FakeEngineOptions {
  /** One more than the largest token. */
  readonly size: number;
  readonly context?: number;
  /** Milliseconds before each token. */
  readonly delay?: number;
  /** Tokens it generates, whatever it is asked; else they follow from the text before. */
  readonly script?: (request: GenerationRequest) => readonly number[];
  /** Requests that run at once, and that wait for their turn. */
  readonly batch?: number;
  readonly queue?: number;
}

/** Tokens of a page of the KV cache. */
const PAGE = 64;

/** What a token's log-probability is while nothing is known: a function of it and what is before. */
function score(before: number, token: number, size: number): number {
  let hash = Math.imul(before + 1, 0x9E3779B1) ^ Math.imul(token + 1, 0x85EBCA6B);
  hash = Math.imul(hash ^ (hash >>> 15), 0xC2B2AE35);
  return -((hash >>> 8) / 2 ** 24) * 10 - Math.log(size);
}

/** The most likely tokens behind another one, best first. */
export function likeliest(before: number, { size, count }: { size: number; count: number }) {
  const all = Array.from(
    { length: size },
    (_, token) => [token, score(before, token, size)] as const,
  );
  return all.sort((left, right) => right[1] - left[1]).slice(0, count);
}

/** Scores a token as the fake engine does. */
export function scoreOf(before: number, token: number, size: number): number {
  return score(before, token, size);
}

/** An engine without a model: every token depends on the one before it, or on a script. */
export class FakeEngine implements Engine {
  readonly context: number;
  state: Engine["state"] = "ready";
  /** Requests it was asked for, the first one first. */
  readonly asked: GenerationRequest[] = [];
  /** Set to fail requests under way. */
  failure: EngineError | undefined;
  readonly #options: FakeEngineOptions;
  #held: Promise<void> | undefined;
  #running = 0;
  #waiting: { readonly tokens: number; readonly start: () => void }[] = [];
  #pages = 0;
  /** Of requests that run. */
  #adapters: number[] = [];
  #steps = 0;
  #promptTokens = 0;
  #generated = 0;

  constructor(options: FakeEngineOptions) {
    this.#options = options;
    this.context = options.context ?? 2048;
  }

  stats(): EngineState {
    return {
      running: this.#running,
      waiting: this.#waiting.length,
      waitingTokens: this.#waiting.reduce((sum, { tokens }) => sum + tokens, 0),
      pages: { used: this.#pages, cached: 0, total: 256 },
      steps: this.#steps,
      // Each of its steps has a token.
      stepSizes: {
        counts: NO_STEPS.counts.with(0, this.#steps),
        tokens: this.#steps,
      },
      promptTokens: this.#promptTokens,
      generatedTokens: this.#generated,
      preemptions: 0,
      prefixCache: { queries: this.#promptTokens, hits: 0 },
      adapters: { running: [...new Set(this.#adapters)], waiting: [] },
      speculation: { drafts: 3, draftTokens: 12, acceptedTokens: 7 },
    };
  }

  /** Has requests that begin from now on run without an answer until what it returns is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return resolve;
  }

  async *generate(
    request: GenerationRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerationEvent> {
    const { size, delay = 0, batch = 16, queue = 64, script } = this.#options;
    const { prompt, maxTokens, stopTokens } = request;
    this.asked.push(request);
    if (this.state !== "ready") {
      throw new EngineError("unavailable", "Cannot take a request: the engine loads");
    }
    if (prompt.length + maxTokens > this.context) {
      throw new EngineError("too_long", "Cannot take a request: it is longer than the context");
    }
    if (this.#running >= batch) await this.#queue(prompt.length, { queue, signal });
    this.#running++;
    if (request.adapter !== undefined) this.#adapters.push(request.adapter);
    const pages = Math.ceil((prompt.length + maxTokens) / PAGE);
    this.#pages += pages;
    try {
      await this.#held;
      await this.#pause(delay, signal);
      this.#promptTokens += prompt.length;
      const { promptLogprobs, logprobs } = request;
      const scores = promptLogprobs === undefined
        ? undefined
        : prompt.slice(1).map((token, at) =>
          scored(token, { before: prompt[at]!, size, count: promptLogprobs })
        );
      const embedding = request.embed && { embedding: Float32Array.of(0.6, 0.8) };
      yield { type: "prompt", cached: 0, queued: 0, ...scores ? { scores } : {}, ...embedding };
      const lines = script?.(request);
      let before = prompt.at(-1)!;
      for (let count = 0; count < maxTokens; count++) {
        await this.#pause(delay, signal);
        const token = lines
          ? lines[count] ?? stopTokens[0] ?? 0
          : this.#next(before, request, count);
        this.#generated++;
        this.#steps++;
        yield logprobs === undefined
          ? { type: "token", token }
          : { type: "token", ...scored(token, { before, size, count: logprobs }) };
        before = token;
        if (stopTokens.includes(token)) {
          yield { type: "end", reason: "stop" };
          return;
        }
      }
      yield { type: "end", reason: "length" };
    } finally {
      this.#running--;
      this.#adapters = this.#adapters.filter((adapter) => adapter !== request.adapter);
      this.#pages -= pages;
      this.#waiting.shift()?.start();
    }
  }

  drain(): Promise<void> {
    this.state = "draining";
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  /** The likeliest token, or at a temperature one that seed and place decide. */
  #next(before: number, { sampling }: GenerationRequest, count: number): number {
    const { size } = this.#options;
    const best = likeliest(before, { size, count: 8 });
    const pick = sampling.temperature === 0 ? 0 : (sampling.seed * 31 + count * 7) % best.length;
    return best[pick]![0];
  }

  async #queue(
    tokens: number,
    { queue, signal }: { queue: number; signal: AbortSignal | undefined },
  ): Promise<void> {
    if (this.#waiting.length >= queue) {
      throw new EngineError("full", `Cannot take a request: ${queue} wait already`);
    }
    const turn = Promise.withResolvers<void>();
    const place = { tokens, start: turn.resolve };
    this.#waiting.push(place);
    const leave = () => {
      this.#waiting = this.#waiting.filter((one) => one !== place);
      turn.reject(signal?.reason);
    };
    signal?.addEventListener("abort", leave);
    try {
      await turn.promise;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.failure) throw this.failure;
    if (ms === 0) return;
    const slept = Promise.withResolvers<void>();
    const timer = setTimeout(slept.resolve, ms);
    const leave = () => slept.reject(signal?.reason);
    signal?.addEventListener("abort", leave);
    try {
      await slept.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", leave);
    }
  }
}

function scored(
  token: number,
  { before, size, count }: { before: number; size: number; count: number },
): ScoredToken {
  return {
    token,
    logprob: score(before, token, size),
    top: likeliest(before, { size, count }),
  };
}
