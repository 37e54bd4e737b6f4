import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import { embed, penalize, sample, topScores } from "../../kernels/mod.ts";
import { penaltyTensors } from "../../kernels/penalize.ts";
import { sampleSettings } from "../../kernels/sample.ts";
import { normalize, runLayer, startStream } from "../models/decoder.ts";
import type { Model } from "../models/model.ts";
import { ropeAngles } from "../models/rope_angles.ts";
import type { ScoredToken } from "./engine.ts";
import { KvPools, kvSchemes } from "./kv_pools.ts";
import { penaltiesOf, UNCHANGED } from "./penalties.ts";
import type { Chunk } from "./scheduler.ts";
import { generated } from "./sequence.ts";

/** Bytes of logits on the device at once. */
export const STEP_LOGIT_BYTES = 2 ** 25;

/** What a step made of a chunk. */
export interface ChunkResult {
  /** The tokens that follow, one a step, where the chunk reaches the sequence's last one. */
  readonly next: readonly ScoredToken[];
  /** Scores of the prompt's tokens behind those of the chunk, where they were asked for. */
  readonly prompt?: readonly ScoredToken[];
}

/** A row of hidden states whose logits are needed. */
interface Row {
  readonly chunk: number;
  readonly row: number;
  /** The token that is scored; undefined where one is chosen. */
  readonly target: number | undefined;
  /** Likeliest tokens wanted with it; undefined for no score. */
  readonly likeliest: number | undefined;
}

/** A model whose keys and values lie in pages, so that many sequences run in one step. */
export class PagedModel implements Disposable {
  readonly #device: Device;
  readonly #model: Model;
  readonly #pools: KvPools;
  readonly #angles: Tensor;

  /** Takes the memory of so many pages; `context` is the longest sequence. */
  constructor(
    device: Device,
    model: Model,
    { pages, context }: { readonly pages: number; readonly context: number },
  ) {
    this.#device = device;
    this.#model = model;
    const schemes = kvSchemes(model.config, model.record);
    this.#pools = new KvPools(device, model.config, { schemes, pages });
    this.#angles = device.upload(ropeAngles(model.config, context), "rope angles");
  }

  /**
   * Runs the chunks of a step together; results stand as the chunks do. Several steps only where all
   * chunks are one token that generates, without scores and penalties: each step's tokens are the next
   * one's input, and the host waits once. Fewer than wanted where the logits do not fit at once.
   */
  async step(
    chunks: readonly Chunk[],
    { steps = 1 }: { readonly steps?: number } = {},
  ): Promise<readonly ChunkResult[]> {
    const most = Math.max(1, Math.floor(STEP_LOGIT_BYTES / 4 / this.#model.config.vocabulary));
    if (steps > 1 && chunks.length <= most) return await this.#ahead(chunks, steps);
    using ids = this.#upload(chunks, ({ sequence, start }, i) => sequence.tokens[start + i]!);
    using hidden = await this.#hidden(chunks, ids);
    const results = chunks.map((): { next: ScoredToken[]; prompt?: ScoredToken[] } => ({
      next: [],
    }));
    const rows = rowsOf(chunks);
    for (let from = 0; from < rows.length; from += most) {
      const part = rows.slice(from, from + most);
      const scored = await this.#score(part, { hidden, chunks });
      part.forEach(({ chunk, target }, i) => {
        const result = results[chunk]!;
        if (target === undefined) result.next.push(scored[i]!);
        else (result.prompt ??= []).push(scored[i]!);
      });
    }
    if (rows.length === 0) {
      await this.#device.read(hidden.view([hidden.shape[0]!, hidden.shape[1]!]));
    }
    return results;
  }

  [Symbol.dispose](): void {
    this.#angles[Symbol.dispose]();
    this.#pools[Symbol.dispose]();
  }

  /** Steps whose tokens stay on the device until the last one has run. */
  async #ahead(chunks: readonly Chunk[], steps: number): Promise<readonly ChunkResult[]> {
    using stack = new DisposableStack();
    const device = this.#device;
    let ids: TensorRef = stack.use(
      this.#upload(chunks, ({ sequence, start }) => sequence.tokens[start]!),
    );
    const chosen: Tensor[] = [];
    const rows = rowsOf(chunks);
    for (let step = 0; step < steps; step++) {
      const moved = chunks.map((chunk) => ({ ...chunk, start: chunk.start + step }));
      using hidden = await this.#hidden(moved, ids);
      using logits = await this.#logits(rows, hidden);
      const tokens = stack.use(this.#choose(rows, { logits, chunks, step }));
      chosen.push(tokens);
      ids = tokens;
    }
    const read = await Promise.all(chosen.map((tokens) => device.read(tokens)));
    return chunks.map((_, i) => ({ next: read.map(({ data }) => ({ token: data[i]! })) }));
  }

  /** A number for each token of the chunks. */
  #upload(chunks: readonly Chunk[], of: (chunk: Chunk, i: number) => number): Tensor {
    const all = chunks.flatMap((chunk) =>
      Array.from({ length: chunk.count }, (_, i) => of(chunk, i))
    );
    return this.#device.upload(u32([all.length], all));
  }

  /** The normalized inputs of the head, f32 [tokens of all chunks, hidden]. */
  async #hidden(chunks: readonly Chunk[], ids: TensorRef): Promise<Tensor> {
    const device = this.#device;
    const model = this.#model;
    using positions = this.#upload(chunks, ({ start }, i) => start + i);
    using batch = this.#pools.batch(chunks);
    const places = { positions, angles: this.#angles };
    let stream = startStream((await model.embeddings()).embed(device, ids));
    for (let layer = 0; layer < model.config.layers; layer++) {
      const attention = this.#pools.attention(layer, batch);
      const weights = await model.layer(layer);
      stream = runLayer(device, model.config, weights, { stream, places, attention });
    }
    using last = stream;
    return normalize(device, last, await model.finalGain(), model.config.normEps);
  }

  /** Chooses or scores the tokens of some rows. */
  async #score(
    rows: readonly Row[],
    { hidden, chunks }: { readonly hidden: TensorRef; readonly chunks: readonly Chunk[] },
  ): Promise<ScoredToken[]> {
    const device = this.#device;
    using logits = await this.#logits(rows, hidden);
    const targets = rows.map(({ target }) => target);
    using chosen = targets.every((target) => target !== undefined)
      ? device.upload(u32([targets.length], targets as number[]))
      : this.#choose(rows, { logits, chunks, step: 0 });
    // Rows whose token is given keep it.
    const count = rows.reduce<number | undefined>(
      (most, { likeliest }) => likeliest === undefined ? most : Math.max(most ?? 0, likeliest),
      undefined,
    );
    const tokens = (await device.read(chosen)).data;
    const final = targets.map((target, i) => target ?? tokens[i]!);
    if (count === undefined) return final.map((token) => ({ token }));
    using scoredTokens = device.upload(u32([final.length], final));
    const made = device.run(topScores, { logits, tokens: scoredTokens }, { count });
    using scores = made.scores;
    using likeliest = made.likeliest;
    using norms = made.norms;
    const values = (await device.read(scores)).data;
    const names = (await device.read(likeliest)).data;
    const sums = (await device.read(norms)).data;
    return rows.map(({ likeliest: wanted }, row) => {
      const token = final[row]!;
      if (wanted === undefined) return { token };
      const first = row * (count + 1);
      const lost = Math.log(sums[2 * row + 1]!);
      const logprob = (at: number) => values[at]! - sums[2 * row]! - lost;
      const top = Array.from(
        { length: wanted },
        (_, i) => [names[first + 1 + i]!, logprob(first + 1 + i)] as const,
      );
      return { token, logprob: logprob(first), top };
    });
  }

  async #logits(rows: readonly Row[], hidden: TensorRef): Promise<Tensor> {
    const device = this.#device;
    const [tokens, width = 0] = hidden.shape;
    const head = await this.#model.head();
    if (rows.length === tokens && rows.every(({ row }, i) => row === i)) {
      return head.apply(device, hidden);
    }
    using indices = device.upload(u32([rows.length], rows.map(({ row }) => row)));
    using needed = device.empty({ dtype: "f32", shape: [rows.length, width] });
    device.run(embed, { tokens: indices, embeddings: hidden, y: needed }, {});
    return head.apply(device, needed);
  }

  #choose(
    rows: readonly Row[],
    { logits, chunks, step }: {
      readonly logits: Tensor;
      readonly chunks: readonly Chunk[];
      /** Tokens chosen already that the host has not seen. */
      readonly step: number;
    },
  ): Tensor {
    const device = this.#device;
    const sequences = rows.map(({ chunk }) => chunks[chunk]!.sequence);
    const settings = sampleSettings(sequences.map((sequence) => ({
      ...sequence.request.sampling,
      step: generated(sequence) + step,
    })));
    using wanted = device.upload(settings);
    const penalties = sequences.map((sequence, i) =>
      rows[i]!.target === undefined ? penaltiesOf(sequence) : undefined
    );
    if (penalties.every((each) => each === undefined)) {
      return device.run(sample, { logits, settings: wanted }, {}).tokens;
    }
    const tensors = penaltyTensors(penalties.map((each) => each ?? UNCHANGED));
    using penaltyRows = device.upload(tensors.rows);
    using entries = device.upload(tensors.entries);
    using y = device.run(penalize, { logits, rows: penaltyRows, entries }, {}).y;
    return device.run(sample, { logits: y, settings: wanted }, {}).tokens;
  }
}

/** The rows of a step whose logits are needed: those that score the prompt, and those that choose. */
function rowsOf(chunks: readonly Chunk[]): Row[] {
  let first = 0;
  return chunks.flatMap(({ sequence, start, count, last }, chunk) => {
    const { request, tokens } = sequence;
    const rows: Row[] = [];
    const prompt = request.prompt.length;
    for (let i = 0; request.promptLogprobs !== undefined && i < count; i++) {
      if (start + i + 1 >= prompt) break;
      const target = tokens[start + i + 1];
      rows.push({ chunk, row: first + i, target, likeliest: request.promptLogprobs });
    }
    if (last && request.maxTokens > 0) {
      const row = first + count - 1;
      rows.push({ chunk, row, target: undefined, likeliest: request.logprobs });
    }
    first += count;
    return rows;
  });
}
