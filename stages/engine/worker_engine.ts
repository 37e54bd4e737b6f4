import { prepareForWorkers } from "../../kernels/device/open_device.ts";
import {
  type Engine,
  EngineError,
  type EngineState,
  type GenerationEvent,
  type GenerationRequest,
} from "./engine.ts";
import { type EngineSizes, type MemoryPlan, plannedBytes } from "./engine_sizes.ts";
import { EventQueue } from "./event_queue.ts";
import type { FromWorker, StartOptions, ToWorker } from "./messages.ts";
import { allSteps, NO_STEPS } from "./step_sizes.ts";
import { checkQueue } from "./queue_cap.ts";

const NOTHING: EngineState = {
  running: 0,
  waiting: 0,
  waitingTokens: 0,
  adapters: { running: [], waiting: [] },
  pages: { used: 0, cached: 0, total: 0 },
  steps: 0,
  stepSizes: NO_STEPS,
  promptTokens: 0,
  generatedTokens: 0,
  preemptions: 0,
  prefixCache: { queries: 0, hits: 0 },
  speculation: { drafts: 0, draftTokens: 0, acceptedTokens: 0 },
};

/** Milliseconds before a failed worker is started anew: more each time, until one is ready. */
const PAUSES = [0, 1_000, 5_000, 30_000];

/**
 * Milliseconds that a worker may take to close its device: it ends the step at hand first, which takes
 * a software driver on a busy machine many seconds. One that is ended amid that may take the process
 * with it, for its driver goes while threads of the driver work.
 */
const CLOSING = 30_000;

/** What the owner of an engine may want to know when it happens. */
export interface EngineNotes {
  ready?(plan: MemoryPlan, device: string): void;
  /** The worker was lost; `again` says whether it is started anew. */
  failed?(message: string, again: boolean): void;
  /** The worker does not close its device; it is ended all the same. */
  hung?(message: string): void;
}

/**
 * An engine in a worker with a device of its own, so that HTTP goes on while the device computes. A
 * worker that is lost ends the requests under way with an error and is started anew.
 */
export class WorkerEngine implements Engine {
  readonly #options: StartOptions;
  readonly #notes: EngineNotes;
  readonly #closing: number;
  readonly #live = new Map<number, EventQueue<GenerationEvent>>();
  #worker: Worker | undefined;
  #state: Engine["state"] = "loading";
  #stats = NOTHING;
  #before = NOTHING;
  #sizes: EngineSizes | undefined;
  #planned = 0;
  #nextId = 1;
  #failures = 0;
  #closed = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #settled = Promise.withResolvers<void>();
  /** Resolves when the worker has closed its device. */
  readonly #ended = Promise.withResolvers<void>();
  readonly #prepared: Promise<void>;

  /**
   * Starts the worker; it is ready when `state` says so. It may take `closing` milliseconds to close
   * its device.
   */
  constructor(
    options: StartOptions,
    notes: EngineNotes = {},
    { closing = CLOSING }: { readonly closing?: number } = {},
  ) {
    this.#options = options;
    this.#notes = notes;
    this.#closing = closing;
    this.#prepared = prepareForWorkers(options.device);
    this.#start();
  }

  /** Bytes of the device that it has planned with; 0 until it is ready. */
  get plannedBytes(): number {
    return this.#planned;
  }

  get context(): number {
    return this.#sizes?.context ?? 0;
  }

  get state(): Engine["state"] {
    return this.#state;
  }

  stats(): EngineState {
    const [now, before] = [this.#stats, this.#before];
    return {
      ...now,
      steps: before.steps + now.steps,
      stepSizes: allSteps(before.stepSizes, now.stepSizes),
      promptTokens: before.promptTokens + now.promptTokens,
      generatedTokens: before.generatedTokens + now.generatedTokens,
      preemptions: before.preemptions + now.preemptions,
      prefixCache: {
        queries: before.prefixCache.queries + now.prefixCache.queries,
        hits: before.prefixCache.hits + now.prefixCache.hits,
      },
      speculation: {
        drafts: before.speculation.drafts + now.speculation.drafts,
        draftTokens: before.speculation.draftTokens + now.speculation.draftTokens,
        acceptedTokens: before.speculation.acceptedTokens + now.speculation.acceptedTokens,
      },
    };
  }

  /** Resolves when the engine is ready the first time, and rejects where it cannot be. */
  get started(): Promise<void> {
    return this.#settled.promise;
  }

  async *generate(
    request: GenerationRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerationEvent> {
    signal?.throwIfAborted();
    if (this.#state !== "ready") {
      throw new EngineError(
        "unavailable",
        `Cannot run a request: the engine is ${this.#state}, expected it to be ready; try again later`,
      );
    }
    if (this.#sizes) checkQueue(this.#live.size, this.#sizes);
    const id = this.#nextId++;
    const queue = new EventQueue<GenerationEvent>();
    this.#live.set(id, queue);
    const abort = () => queue.fail(signal!.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#tell({ type: "add", id, request });
    try {
      for await (const event of queue) {
        yield event;
        if (event.type === "end") {
          this.#live.delete(id);
          return;
        }
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      if (this.#live.delete(id)) this.#tell({ type: "abort", id });
    }
  }

  async drain(signal?: AbortSignal): Promise<void> {
    if (this.#state === "ready" || this.#state === "loading") this.#state = "draining";
    while (this.#live.size > 0 && !signal?.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Has the worker lose its device, so that recovery can be tried. */
  loseDevice(): void {
    this.#tell({ type: "lose device" });
  }

  /** Ends the worker as if it had crashed, so that recovery can be tried. */
  crash(): void {
    // One that is down already is on its way back.
    if (this.#worker) this.#fail("the worker was ended");
  }

  /** Ends once the worker has closed its device, or does not do so in time. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#endAll("Cannot go on: the engine was closed");
    this.#state = "failed";
    if (!this.#worker) return;
    this.#tell({ type: "close" });
    const timer = setTimeout(() => {
      this.#notes.hung?.(
        `The engine has not closed its device in ${this.#closing / 1000} s: it is ended as it is`,
      );
      this.#ended.resolve();
    }, this.#closing);
    await this.#ended.promise;
    clearTimeout(timer);
    await this.#prepared;
    this.#worker.terminate();
  }

  #start(): void {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (worker === this.#worker) this.#hear(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker === this.#worker) this.#fail(event.message);
    };
    this.#tell({ type: "start", options: this.#options });
  }

  #tell(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  #hear(message: FromWorker): void {
    switch (message.type) {
      case "ready": {
        const { plan, device } = message;
        this.#sizes = plan.sizes;
        this.#planned = plannedBytes(plan);
        this.#failures = 0;
        if (this.#state === "loading") this.#state = "ready";
        this.#settled.resolve();
        this.#notes.ready?.(plan, device);
        return;
      }
      case "events":
        this.#stats = message.stats;
        for (const [id, event] of message.events) this.#live.get(id)?.push(event);
        return;
      case "refused":
        this.#live.get(message.id)?.fail(new EngineError(message.why, message.message));
        this.#live.delete(message.id);
        return;
      case "closed":
        return this.#ended.resolve();
      case "failed":
        return this.#fail(message.message);
    }
  }

  #fail(why: string): void {
    if (this.#closed) return this.#ended.resolve();
    this.#worker?.terminate();
    this.#worker = undefined;
    // Gauges start at nothing; counters never go back.
    this.#before = this.stats();
    this.#stats = { ...NOTHING, pages: { ...NOTHING.pages, total: this.#stats.pages.total } };
    this.#endAll(`Cannot finish the request: the engine was lost (${why})`);
    const pause = PAUSES[this.#failures++];
    // One that never was ready would not be so a second time either.
    const again = this.#sizes !== undefined && pause !== undefined;
    if (this.#state !== "draining") this.#state = again ? "loading" : "failed";
    this.#notes.failed?.(why, again);
    if (again) this.#retry = setTimeout(() => this.#start(), pause);
    else this.#settled.reject(new EngineError("unavailable", why));
  }

  #endAll(message: string): void {
    for (const queue of this.#live.values()) queue.fail(new EngineError("failed", message));
    this.#live.clear();
  }
}
