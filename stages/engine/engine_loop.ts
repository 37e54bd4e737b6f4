import type { Device } from "../../kernels/device/device.ts";
import type { Model } from "../models/model.ts";
import {
  EngineError,
  type EngineState,
  type GenerationEvent,
  type GenerationRequest,
  type ScoredToken,
} from "./engine.ts";
import type { EngineSizes } from "./engine_sizes.ts";
import { sinksOf } from "./kv_pools.ts";
import { type ChunkResult, PagedModel } from "./paged_model.ts";
import type { Grammars } from "./grammar.ts";
import { Pages } from "./pages.ts";
import { checkQueue } from "./queue_cap.ts";
import { adaptersOf, type Chunk, mostDraws, Scheduler } from "./scheduler.ts";
import { NO_STEPS, withStep } from "./step_sizes.ts";
import { endOf, newSequence, remaining, type Sequence, waitsForGrammar } from "./sequence.ts";

/** An event and the request it belongs to. */
export type EngineEvent = readonly [id: number, event: GenerationEvent];

/**
 * Milliseconds that a step waits for what grammars allow, while the device is at its layers, or half of
 * what the last step took where that is more; answers that still wait then miss it.
 */
const GRAMMAR_MS = 5;

/** What an engine is made with besides. */
export interface EngineLoopOptions {
  /** Tokens are drawn below it, where the head has rows that stand for none. */
  readonly choices?: number | undefined;
  /** Holds answers to grammars; belongs to whoever made it. */
  readonly grammars?: Grammars | undefined;
}

/** Runs the steps of many requests on one model; what drives it decides when. */
export class EngineLoop implements Disposable {
  readonly sizes: EngineSizes;
  readonly #model: PagedModel;
  readonly #pages: Pages;
  readonly #scheduler: Scheduler;
  readonly #live = new Map<number, Sequence>();
  /** Vectors of prompts, as far as these are computed. */
  readonly #vectors = new Map<number, Float64Array>();
  /** Scores of prompts that are still being computed. */
  readonly #prompts = new Map<number, ScoredToken[]>();
  /** Those whose grammars are not known yet to allow anything. */
  readonly #preparing = new Set<Sequence>();
  readonly #grammars: Grammars | undefined;
  #refused: (readonly [id: number, error: EngineError])[] = [];
  #speculation = { drafts: 0, draftTokens: 0, acceptedTokens: 0 };
  #steps = 0;
  /** Milliseconds that the last step took. */
  #lastMs = 0;
  #stepSizes = NO_STEPS;
  #promptTokens = 0;
  #generatedTokens = 0;

  /** Takes the memory of all pages; the model and the device stay the caller's. */
  constructor(
    device: Device,
    model: Model,
    sizes: EngineSizes,
    { choices, grammars }: EngineLoopOptions = {},
  ) {
    this.sizes = sizes;
    this.#grammars = grammars;
    this.#model = new PagedModel(device, model, { ...sizes, rows: mostDraws(sizes.step), choices });
    this.#pages = new Pages(sizes.pages, sinksOf(model.record));
    this.#scheduler = new Scheduler(this.#pages, sizes.step);
  }

  /** Whether there is nothing to do. */
  get idle(): boolean {
    return this.#scheduler.idle && this.#preparing.size === 0;
  }

  /** What it has done and holds. */
  get stats(): EngineState {
    const counts = this.#scheduler.counts;
    return {
      ...counts,
      waiting: counts.waiting + this.#preparing.size,
      adapters: {
        running: counts.adapters.running,
        waiting: [...new Set([...counts.adapters.waiting, ...adaptersOf(this.#preparing)])],
      },
      pages: this.#pages.counts,
      prefixCache: this.#pages.prefixCache,
      speculation: this.#speculation,
      steps: this.#steps,
      stepSizes: this.#stepSizes,
      promptTokens: this.#promptTokens,
      generatedTokens: this.#generatedTokens,
    };
  }

  /** Takes a request under an id of the caller's; throws an `EngineError` where it does not. */
  add(id: number, request: GenerationRequest): void {
    const { prompt, maxTokens } = request;
    const longest = Math.min(this.sizes.context, this.#pages.tokensIn(this.sizes.pages) - 1);
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
    if (!request.grammar) return this.#scheduler.add(sequence);
    if (!this.#grammars) {
      this.#live.delete(id);
      throw new EngineError("grammar", "Cannot hold an answer to a grammar: this engine has none");
    }
    sequence.constraint = this.#grammars.open(request.grammar);
    this.#preparing.add(sequence);
  }

  /** Takes the requests that were refused since it was asked last. */
  refused(): readonly (readonly [id: number, error: EngineError])[] {
    const refused = this.#refused;
    this.#refused = [];
    return refused;
  }

  /** Ends a request without an event; its pages are free at once. */
  abort(id: number): void {
    const sequence = this.#live.get(id);
    if (sequence) this.#end(sequence);
  }

  /** Runs one step and says what happened; nothing where there is nothing to do. */
  async step(): Promise<readonly EngineEvent[]> {
    this.#followGrammars();
    const chunks = this.#scheduler.next();
    if (chunks.length === 0) {
      await settled(this.#live.values().filter(isWaiting).toArray());
      return [];
    }
    const start = performance.now();
    for (const { sequence } of chunks) sequence.begun ??= performance.now();
    const steps = this.#scheduler.ahead(chunks, this.sizes.context);
    const ready = async () => {
      const waiting = chunks.map(({ sequence }) => sequence).filter(isWaiting);
      if (waiting.length > 0) await settled(waiting, Math.max(GRAMMAR_MS, this.#lastMs / 2));
    };
    const results = await this.#model.step(chunks, { steps, ready });
    this.#lastMs = performance.now() - start;
    this.#steps += steps;
    // The first has the chunks, those behind it a token of each sequence.
    const tokens = chunks.reduce((sum, { count }) => sum + count, 0);
    for (let step = 0; step < steps; step++) {
      this.#stepSizes = withStep(this.#stepSizes, step === 0 ? tokens : chunks.length);
    }
    return chunks.flatMap((chunk, i) => {
      // It may have been aborted while the step ran; its pages were given back then.
      if (this.#live.get(chunk.sequence.id) !== chunk.sequence) return [];
      return this.#eventsOf(chunk, results[i]!).map((event) => [chunk.sequence.id, event] as const);
    });
  }

  [Symbol.dispose](): void {
    this.#model[Symbol.dispose]();
  }

  /** Begins answers whose grammars are ready, and refuses those whose grammars cannot be used. */
  #followGrammars(): void {
    for (const sequence of [...this.#live.values()]) {
      const { id, constraint } = sequence;
      if (constraint?.failure !== undefined) {
        const why = constraint.failure;
        this.#end(sequence);
        this.#refused.push([
          id,
          new EngineError("grammar", `Cannot hold the answer to its grammar: ${why}`),
        ]);
      } else if (this.#preparing.has(sequence) && !waitsForGrammar(sequence)) {
        this.#preparing.delete(sequence);
        this.#scheduler.add(sequence);
      }
    }
  }

  #eventsOf(ran: Chunk, result: ChunkResult): GenerationEvent[] {
    const { missed = false } = result;
    ran.sequence.missed = missed;
    const { draft } = ran;
    if (draft.length > 0) this.#countDraft(ran, result);
    // Of a draft what is right is done below; the last token of one that missed the step runs again.
    const chunk = {
      ...ran,
      count: ran.count - draft.length - Number(missed),
      last: ran.last && !missed,
    };
    const { sequence, start, count, last } = chunk;
    this.#scheduler.done(chunk);
    const { id, request, tokens } = sequence;
    const events: GenerationEvent[] = [];
    const prompt = request.prompt.length;
    // One that was preempted has told of its prompt.
    const first = tokens.length === prompt;
    if (first) {
      this.#promptTokens += count;
      if (result.hidden) {
        // One that was preempted begins anew.
        const before = start === 0 ? undefined : this.#vectors.get(id);
        const sum = before ? result.hidden.map((value, i) => value + before[i]!) : result.hidden;
        this.#vectors.set(id, sum);
      }
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
      const vector = this.#vectors.get(id);
      events.push({
        type: "prompt",
        cached: sequence.cached ?? 0,
        queued,
        ...scores,
        ...vector && { embedding: normalized(vector) },
      });
      this.#prompts.delete(id);
    }
    for (const [i, next] of result.next.entries()) {
      if (i > 0) this.#scheduler.done({ sequence, start: start + i, count: 1 });
      tokens.push(next.token);
      this.#generatedTokens++;
      events.push({ type: "token", ...next });
      sequence.constraint?.accept(next.token);
      // Tokens behind one that ends the answer were computed in vain.
      if (endOf(sequence, this.sizes.context)) break;
    }
    const reason = endOf(sequence, this.sizes.context);
    if (reason) {
      this.#end(sequence);
      events.push({ type: "end", reason });
    } else this.#guess(sequence);
    return events;
  }

  /** Guesses what follows a sequence, where drafts are to be run. */
  #guess(sequence: Sequence): void {
    const { drafts } = this.sizes.step;
    if (!drafts || this.#scheduler.counts.running > drafts.sequences) {
      sequence.draft = [];
      return;
    }
    // The token behind a draft is one more.
    const most = Math.min(drafts.tokens, remaining(sequence, this.sizes.context) - 1);
    sequence.draft = sequence.lookup.draft(sequence.tokens, most);
    if (sequence.draft.length > 0) sequence.constraint?.follow(sequence.draft);
  }

  #countDraft({ sequence, draft }: Chunk, { missed, next }: ChunkResult): void {
    if (missed) return;
    sequence.lookup.tell(draft.length, next.length - 1);
    const { drafts, draftTokens, acceptedTokens } = this.#speculation;
    this.#speculation = {
      drafts: drafts + 1,
      draftTokens: draftTokens + draft.length,
      acceptedTokens: acceptedTokens + next.length - 1,
    };
  }

  #end(sequence: Sequence): void {
    this.#live.delete(sequence.id);
    this.#prompts.delete(sequence.id);
    this.#vectors.delete(sequence.id);
    this.#preparing.delete(sequence);
    sequence.constraint?.[Symbol.dispose]();
    this.#scheduler.remove(sequence);
  }
}

/** Whether it may still be told what its grammar allows. */
function isWaiting(sequence: Sequence): boolean {
  return waitsForGrammar(sequence) && sequence.constraint!.failure === undefined;
}

/** A vector of length 1 in its direction; of a mean the count of its parts does not matter. */
function normalized(vector: Float64Array): Float32Array {
  const length = Math.hypot(...vector) || 1;
  return Float32Array.from(vector, (value) => value / length);
}

/**
 * Waits until it is known what the grammars of some sequences allow: of one of them, or of all where
 * there is an end to the waiting.
 */
async function settled(sequences: readonly Sequence[], most?: number): Promise<void> {
  const all = sequences.map(({ constraint }) => constraint!.settled());
  if (all.length === 0) return;
  if (most === undefined) return await Promise.race(all);
  const slept = Promise.withResolvers<void>();
  const timer = setTimeout(slept.resolve, most);
  await Promise.race([Promise.all(all), slept.promise]);
  clearTimeout(timer);
}
