import type { Device } from "../../kernels/device/device.ts";
import { PAGE_TOKENS } from "../../kernels/codes/kv_page.ts";
import type { Model } from "../models/model.ts";
import {
  EngineError,
  type EngineState,
  type GenerationEvent,
  type GenerationRequest,
  type ScoredToken,
} from "./engine.ts";
import type { EngineSizes } from "./engine_sizes.ts";
import { type ChunkResult, PagedModel } from "./paged_model.ts";
import { Pages } from "./pages.ts";
import { checkQueue } from "./queue_cap.ts";
import { type Chunk, Scheduler } from "./scheduler.ts";
import { endOf, newSequence, type Sequence } from "./sequence.ts";

/** An event and the request it belongs to. */
export type EngineEvent = readonly [id: number, event: GenerationEvent];

/** Runs the steps of many requests on one model; what drives it decides when. */
export class EngineLoop implements Disposable {
  readonly sizes: EngineSizes;
  readonly #model: PagedModel;
  readonly #pages: Pages;
  readonly #scheduler: Scheduler;
  readonly #live = new Map<number, Sequence>();
  /** Scores of prompts that are still being computed. */
  readonly #prompts = new Map<number, ScoredToken[]>();
  #steps = 0;
  #promptTokens = 0;
  #generatedTokens = 0;

  /**
   * Takes the memory of all pages; the model and the device stay the caller's. Tokens are drawn below
   * `choices`, where the head has rows that stand for none.
   */
  constructor(device: Device, model: Model, sizes: EngineSizes, choices?: number) {
    this.sizes = sizes;
    this.#model = new PagedModel(device, model, { ...sizes, choices });
    this.#pages = new Pages(sizes.pages);
    this.#scheduler = new Scheduler(this.#pages, sizes.step);
  }

  /** Whether there is nothing to do. */
  get idle(): boolean {
    return this.#scheduler.idle;
  }

  /** What it has done and holds. */
  get stats(): EngineState {
    return {
      ...this.#scheduler.counts,
      pages: this.#pages.counts,
      prefixCache: this.#pages.prefixCache,
      steps: this.#steps,
      promptTokens: this.#promptTokens,
      generatedTokens: this.#generatedTokens,
    };
  }

  /** Takes a request under an id of the caller's; throws an `EngineError` where it does not. */
  add(id: number, request: GenerationRequest): void {
    const { prompt, maxTokens } = request;
    const longest = Math.min(this.sizes.context, this.sizes.pages * PAGE_TOKENS - 1);
    if (prompt.length === 0) {
      throw new EngineError("too_long", "Cannot run an empty prompt: expected at least one token");
    }
    if (prompt.length + Math.min(maxTokens, 1) > longest) {
      throw new EngineError(
        "too_long",
        `Cannot run a prompt of ${prompt.length} tokens: expected at most ${
          longest - Math.min(maxTokens, 1)
        }`,
      );
    }
    checkQueue(this.#live.size, this.sizes);
    const { waiting, waitingTokens } = this.#scheduler.counts;
    const { tokens } = this.sizes.queue;
    if (waiting > 0 && waitingTokens + prompt.length > tokens) {
      throw new EngineError(
        "full",
        `Cannot queue the request: prompts of ${waitingTokens} tokens wait, expected at most ${tokens} with its ${prompt.length}; try again later`,
      );
    }
    const sequence = newSequence(id, request);
    this.#live.set(id, sequence);
    this.#scheduler.add(sequence);
  }

  /** Ends a request without an event; its pages are free at once. */
  abort(id: number): void {
    const sequence = this.#live.get(id);
    if (sequence) this.#end(sequence);
  }

  /** Runs one step and says what happened; nothing where there is nothing to do. */
  async step(): Promise<readonly EngineEvent[]> {
    const chunks = this.#scheduler.next();
    if (chunks.length === 0) return [];
    for (const { sequence } of chunks) sequence.begun ??= performance.now();
    const steps = this.#scheduler.ahead(chunks, this.sizes.context);
    const results = await this.#model.step(chunks, { steps });
    this.#steps += Math.max(1, ...results.map(({ next }) => next.length));
    return chunks.flatMap((chunk, i) => {
      // It may have been aborted while the step ran; its pages were given back then.
      if (this.#live.get(chunk.sequence.id) !== chunk.sequence) return [];
      return this.#eventsOf(chunk, results[i]!).map((event) => [chunk.sequence.id, event] as const);
    });
  }

  [Symbol.dispose](): void {
    this.#model[Symbol.dispose]();
  }

  #eventsOf(chunk: Chunk, result: ChunkResult): GenerationEvent[] {
    const { sequence, start, count, last } = chunk;
    this.#scheduler.done(chunk);
    const { id, request, tokens } = sequence;
    const events: GenerationEvent[] = [];
    const prompt = request.prompt.length;
    // One that was preempted has told of its prompt.
    const first = tokens.length === prompt;
    if (first) {
      this.#promptTokens += count;
      if (result.prompt) {
        const scores = this.#prompts.get(id) ?? [];
        // Those of tokens before `start` are there, unless it was preempted.
        this.#prompts.set(id, [...scores.slice(0, start), ...result.prompt]);
      }
    }
    if (!last) return events;
    if (first) {
      const scores = request.promptLogprobs === undefined
        ? {}
        : { scores: this.#prompts.get(id) ?? [] };
      const queued = (sequence.begun! - sequence.added) / 1000;
      events.push({ type: "prompt", cached: sequence.cached ?? 0, queued, ...scores });
      this.#prompts.delete(id);
    }
    for (const [i, next] of result.next.entries()) {
      if (i > 0) this.#scheduler.done({ ...chunk, start: start + i });
      tokens.push(next.token);
      this.#generatedTokens++;
      events.push({ type: "token", ...next });
      // Tokens behind one that ends the answer were computed in vain.
      if (endOf(sequence, this.sizes.context)) break;
    }
    const reason = endOf(sequence, this.sizes.context);
    if (reason) {
      this.#end(sequence);
      events.push({ type: "end", reason });
    }
    return events;
  }

  #end(sequence: Sequence): void {
    this.#live.delete(sequence.id);
    this.#prompts.delete(sequence.id);
    this.#scheduler.remove(sequence);
  }
}
