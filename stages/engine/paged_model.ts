import type { Device, HostTensor, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { embed, penalize, sample } from "../../kernels/mod.ts";
import type { Model } from "../models/model.ts";
import type { ScoredToken } from "./engine.ts";
import { idsOf, kvBatch, ownersOf, positionsOf } from "./kv_batch.ts";
import { changeTensors, LogitChanges, UNCHANGED } from "./logit_changes.ts";
import { PagedForward } from "./paged_forward.ts";
import { standing } from "./prompt_lookup.ts";
import { knownDraws, type RecordedSteps, recordSteps } from "./recorded_steps.ts";
import {
  changesOf,
  type Draw,
  drawsOf,
  leavesLogits,
  mostEntries,
  settingsOf,
} from "./sampling.ts";
import type { Chunk } from "./scheduler.ts";
import { mostLikeliest, readScores, scoreTokens } from "./token_scores.ts";

/** Bytes of logits on the device at once. */
const STEP_LOGIT_BYTES = 2 ** 25;

/** What a step made of a chunk. */
export interface ChunkResult {
  /**
   * The tokens that follow, one a step, where the chunk reaches the sequence's last one; with a draft
   * those of it that were right, and one more.
   */
  readonly next: readonly ScoredToken[];
  /** Whether there are none yet, since its grammar did not say what may come. */
  readonly missed?: boolean;
  /** Scores of the prompt's tokens behind those of the chunk, where they were asked for. */
  readonly prompt?: readonly ScoredToken[];
  /** The sum of what the head reads of the chunk's tokens, or its last, where a vector is asked for. */
  readonly hidden?: Float64Array;
}

/** A row of hidden states whose logits are needed. */
interface Row {
  readonly chunk: number;
  readonly row: number;
  /** The token that is scored; undefined where one is chosen. */
  readonly target: number | undefined;
  /** How it is chosen. */
  readonly draw: Draw;
  /** Likeliest tokens wanted with it; undefined for no score. */
  readonly likeliest: number | undefined;
}

/** Recordings kept, each for its own number of sequences: device memory is shared between them. */
export const MOST_RECORDINGS = 64;

/** The most rows whose logits are on the device at once. */
export function rowsAtOnce({ vocabulary }: { readonly vocabulary: number }): number {
  return Math.max(1, Math.floor(STEP_LOGIT_BYTES / 4 / vocabulary));
}

/** A model whose keys and values lie in pages, so that many sequences run in one step, in prefill and decode. */
export class PagedModel implements Disposable {
  readonly #device: Device;
  readonly #forward: PagedForward;
  readonly #context: number;
  readonly #drawn: { readonly choices?: number };
  readonly #mostRows: number;
  /** By sequences and steps; the one used last stands last. */
  readonly #recorded = new Map<string, RecordedSteps>();
  /** Where recorded steps read what changes their logits; made when it is needed first. */
  #changes: LogitChanges | undefined;
  readonly #vocabulary: number;
  /** Rows of logits that a recorded step has at most. */
  readonly #rows: number;

  /**
   * Takes the memory of so many pages; `context` is the longest sequence, a step of decode chooses up to
   * `rows` tokens. They are drawn below `choices`, from all rows of the head unless said.
   */
  constructor(
    device: Device,
    model: Model,
    { pages, context, rows, choices }: {
      readonly pages: number;
      readonly context: number;
      readonly rows: number;
      readonly choices?: number | undefined;
    },
  ) {
    this.#device = device;
    this.#drawn = choices === undefined ? {} : { choices };
    this.#forward = new PagedForward(device, model, { pages, context });
    this.#context = context;
    this.#mostRows = rowsAtOnce(model.config);
    this.#rows = Math.min(rows, this.#mostRows);
    this.#vocabulary = model.config.vocabulary;
  }

  /**
   * Runs the chunks of a step together; results stand as the chunks do. Several steps only where all
   * chunks are one token that generates, without scores, penalties and grammars; fewer than wanted where
   * the logits do not fit at once. What grammars allow is known when `ready` resolves, or their
   * sequences miss the step.
   */
  async step(
    chunks: readonly Chunk[],
    { steps = 1, ready = () => Promise.resolve() }: {
      readonly steps?: number;
      readonly ready?: () => Promise<void>;
    } = {},
  ): Promise<readonly ChunkResult[]> {
    const recorded = await this.#recordedFor(chunks, steps);
    if (!recorded) return await this.#once(chunks, ready);
    const tokens = await recorded.run(chunks, ready);
    return tokens.map((drawn, i) => {
      if (!drawn) return { next: [], missed: true };
      const { draft } = chunks[i]!;
      return { next: draft.length > 0 ? standing(draft, drawn) : drawn };
    });
  }

  [Symbol.dispose](): void {
    for (const steps of this.#recorded.values()) steps[Symbol.dispose]();
    this.#recorded.clear();
    this.#changes?.[Symbol.dispose]();
    this.#forward[Symbol.dispose]();
  }
  /** The recording that runs such chunks; undefined where none can. */
  async #recordedFor(chunks: readonly Chunk[], steps: number): Promise<RecordedSteps | undefined> {
    const rows = chunks.reduce((sum, { count }) => sum + count, 0);
    if (rows > this.#rows || !chunks.every(onlyDraws)) return undefined;
    const plain = chunks.every(({ sequence }) => leavesLogits(sequence.request));
    const likeliest = mostLikeliest(chunks.map(({ sequence }) => sequence.request.logprobs));
    const changes = plain ? undefined : this.#logitChanges;
    const entries = chunks.reduce(
      (sum, { sequence, count }) => sum + count * (mostEntries(sequence) + count - 1),
      0,
    );
    if (changes && entries > changes.room) return undefined;
    const key = `${chunks.length} ${rows} ${steps} ${plain} ${likeliest}`;
    let found = this.#recorded.get(key);
    if (found) {
      this.#recorded.delete(key);
    } else {
      if (this.#recorded.size >= MOST_RECORDINGS) {
        const [oldest, recorded] = this.#recorded.entries().next().value!;
        recorded[Symbol.dispose]();
        this.#recorded.delete(oldest);
      }
      const wanted = { chunks, steps, context: this.#context, changes, likeliest };
      found = await recordSteps(this.#device, this.#forward, { ...wanted, drawn: this.#drawn });
    }
    this.#recorded.set(key, found);
    return found;
  }

  get #logitChanges(): LogitChanges {
    return this.#changes ??= new LogitChanges(this.#device, this.#rows, this.#vocabulary);
  }

  /** One step of chunks of any length, launch by launch. */
  async #once(
    chunks: readonly Chunk[],
    ready: () => Promise<void>,
  ): Promise<readonly ChunkResult[]> {
    using stack = new DisposableStack();
    const upload = (host: HostTensor) => stack.use(this.#device.upload(host));
    const { queries, keys, ...batch } = kvBatch(chunks, this.#forward.sinks);
    const hidden = stack.use(
      await this.#forward.hidden(upload(idsOf(chunks)), {
        positions: upload(positionsOf(chunks)),
        ...this.#forward.model.adapters && { owners: upload(ownersOf(chunks)) },
        slots: upload(batch.slots),
        block_table: upload(batch.block_table),
        spans: upload(batch.spans),
        work: upload(batch.work),
        queries,
        keys,
      }),
    );
    const results = chunks.map((): {
      next: ScoredToken[];
      missed?: boolean;
      prompt?: ScoredToken[];
      hidden?: Float64Array;
    } => ({ next: [] }));
    if (chunks.some(({ sequence: { request } }) => request.embed !== undefined)) {
      const { data } = await this.#device.read(hidden);
      for (const [i, sum] of hiddenSums(chunks, data, hidden.shape[1]!).entries()) {
        if (sum) results[i]!.hidden = sum;
      }
    }
    await ready();
    const known = chunks.map(knownDraws);
    const rows = rowsOf(chunks);
    for (let from = 0; from < rows.length; from += this.#mostRows) {
      const part = rows.slice(from, from + this.#mostRows);
      const scored = await this.#score(part, hidden);
      part.forEach(({ chunk, target }, i) => {
        const result = results[chunk]!;
        if (target === undefined) {
          result.next.push(scored[i]!);
        } else {
          (result.prompt ??= []).push(scored[i]!);
        }
      });
    }
    results.forEach((result, i) => {
      if (result.next.length === 0) return;
      result.missed = known[i] === 0;
      result.next = standing(chunks[i]!.draft, result.next.slice(0, known[i]));
    });
    if (rows.length === 0) {
      await this.#device.read(hidden.view([hidden.shape[0]!, hidden.shape[1]!]));
    }
    return results;
  }

  /** Chooses or scores the tokens of some rows. */
  async #score(
    rows: readonly Row[],
    hidden: TensorRef,
  ): Promise<ScoredToken[]> {
    const device = this.#device;
    using logits = await this.#logits(rows, hidden);
    const targets = rows.map(({ target }) => target);
    using chosen = targets.every((target) => target !== undefined)
      ? device.upload(u32([targets.length], targets as number[]))
      : this.#choose(rows, logits);
    // Rows whose token is given keep it.
    const wanted = rows.map(({ likeliest }) => likeliest);
    const count = mostLikeliest(wanted);
    const tokens = (await device.read(chosen)).data;
    const final = targets.map((target, i) => target ?? tokens[i]!);
    if (count === undefined) return final.map((token) => ({ token }));
    using scoredTokens = device.upload(u32([final.length], final));
    const made = scoreTokens(device, logits, { tokens: scoredTokens, count });
    try {
      return readScores(final, await Promise.all(made.map((part) => device.read(part))), wanted);
    } finally {
      for (const part of made) part[Symbol.dispose]();
    }
  }

  async #logits(rows: readonly Row[], hidden: TensorRef): Promise<Tensor> {
    const device = this.#device;
    const [tokens, width = 0] = hidden.shape;
    if (rows.length === tokens && rows.every(({ row }, i) => row === i)) {
      return await this.#forward.logits(hidden);
    }
    using indices = device.upload(u32([rows.length], rows.map(({ row }) => row)));
    using needed = device.empty({ dtype: "f32", shape: [rows.length, width] });
    device.run(embed, { tokens: indices, embeddings: hidden, y: needed }, {});
    return await this.#forward.logits(needed);
  }

  #choose(rows: readonly Row[], logits: Tensor): Tensor {
    const device = this.#device;
    using settings = device.upload(settingsOf(rows.map(({ draw }) => draw)));
    const changes = changeTensors(
      rows.map(({ target, draw }) => target === undefined ? changesOf(draw) : UNCHANGED),
      logits.shape[1]!,
    );
    if (!changes) return device.run(sample, { logits, settings }, this.#drawn).tokens;
    using penaltyRows = device.upload(changes.rows);
    using entries = device.upload(changes.entries);
    using allowed = changes.allowed && device.upload(changes.allowed);
    const inputs = { logits, rows: penaltyRows, entries, ...allowed && { allowed } };
    using changed = device.run(penalize, inputs, {}).y;
    return device.run(sample, { logits: changed, settings }, this.#drawn).tokens;
  }
}

/** What each chunk adds to the vector of its prompt, of rows [tokens, width] of all chunks. */
function hiddenSums(
  chunks: readonly Chunk[],
  rows: ArrayLike<number>,
  width: number,
): (Float64Array | undefined)[] {
  let first = 0;
  return chunks.map(({ sequence: { request: { embed } }, count, last }) => {
    const from = embed === "last" ? first + count - 1 : first;
    const to = first + count;
    first = to;
    if (embed === undefined || (embed === "last" && !last)) return undefined;
    const sum = new Float64Array(width);
    for (let row = from; row < to; row++) {
      for (let i = 0; i < width; i++) sum[i]! += rows[row * width + i]!;
    }
    return sum;
  });
}

/** Whether behind each token of a chunk another is drawn, and nothing else is asked. */
function onlyDraws({ sequence: { request }, count, draft, last }: Chunk): boolean {
  const drawn = count === 1 + draft.length && last && request.maxTokens > 0;
  return drawn && request.promptLogprobs === undefined;
}

/** The rows of a step whose logits are needed: those that score the prompt, and those that choose. */
function rowsOf(chunks: readonly Chunk[]): Row[] {
  let first = 0;
  return chunks.flatMap(({ sequence, start, count, last, draft }, chunk) => {
    const { request, tokens } = sequence;
    const rows: Row[] = [];
    const prompt = request.prompt.length;
    const draws = drawsOf({ sequence, draft });
    for (let i = 0; request.promptLogprobs !== undefined && i < count; i++) {
      if (start + i + 1 >= prompt) break;
      const target = tokens[start + i + 1];
      const likeliest = request.promptLogprobs;
      rows.push({ chunk, row: first + i, target, draw: draws[0]!, likeliest });
    }
    if (last && request.maxTokens > 0) {
      draws.forEach((draw, at) => {
        const row = first + count - draws.length + at;
        rows.push({ chunk, row, target: undefined, draw, likeliest: request.logprobs });
      });
    }
    first += count;
    return rows;
  });
}
