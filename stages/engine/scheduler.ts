import type { EngineState } from "./engine.ts";
import type { Pages } from "./pages.ts";
import { needsLogitsOnly } from "./sampling.ts";
import { isHeldBack, remaining, type Sequence } from "./sequence.ts";

/** What one step may take on. */
export interface StepLimits {
  /** Tokens of all sequences together. */
  readonly tokens: number;
  /** Sequences that run at once. */
  readonly sequences: number;
  /** Steps that may run before their tokens are looked at, 1 unless said. */
  readonly ahead?: number;
  /** Tokens that are guessed and run with a sequence's last one, where few generate; none unless said. */
  readonly drafts?: DraftLimits | undefined;
}

/** How far answers may be guessed ahead. */
export interface DraftLimits {
  /** Tokens of a draft. */
  readonly tokens: number;
  /** Sequences that generate at most; where there are more a step has enough to do. */
  readonly sequences: number;
}

/** Tokens that a step of decode chooses at most. */
export function mostDraws({ sequences, drafts }: StepLimits): number {
  return drafts ? Math.max(sequences, drafts.sequences * (1 + drafts.tokens)) : sequences;
}

/** Tokens of a sequence to run in a step, for prefill or for decode: from `start` on, whose keys and values come into its pages. */
export interface Chunk {
  readonly sequence: Sequence;
  readonly start: number;
  readonly count: number;
  /** Whether it reaches the sequence's last token, so that the next one can be chosen. */
  readonly last: boolean;
  /** Tokens behind the sequence's last one that may prove right; the chunk ends with them. */
  readonly draft: readonly number[];
}

/**
 * Decides what runs next: sequences in decode first, a token each; then the prefill of those that have
 * begun, in chunks; then those that wait, as far as pages and limits reach.
 *
 * Preemption: where no page is left for one in decode, the one that began last gives its pages back and
 * waits again, to be computed anew. Holds no device.
 */
export class Scheduler {
  readonly #pages: Pages;
  readonly #limits: StepLimits;
  /** In the order they began. */
  readonly #running: Sequence[] = [];
  readonly #waiting: Sequence[] = [];
  #preemptions = 0;

  constructor(pages: Pages, limits: StepLimits) {
    this.#pages = pages;
    this.#limits = limits;
  }

  /** Sequences under way and waiting, tokens that wait, and how often one was preempted. */
  get counts(): {
    readonly running: number;
    readonly waiting: number;
    readonly waitingTokens: number;
    readonly adapters: EngineState["adapters"];
    readonly preemptions: number;
  } {
    return {
      adapters: { running: adaptersOf(this.#running), waiting: adaptersOf(this.#waiting) },
      running: this.#running.length,
      waiting: this.#waiting.length,
      waitingTokens: this.#waiting.reduce((sum, { tokens }) => sum + tokens.length, 0),
      preemptions: this.#preemptions,
    };
  }

  /** Whether there is nothing to do. */
  get idle(): boolean {
    return this.#running.length + this.#waiting.length === 0;
  }

  /** Takes a sequence; it must fit into all pages together. */
  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** Ends a sequence wherever it is; its pages are free at once. */
  remove(sequence: Sequence): void {
    for (const list of [this.#running, this.#waiting]) {
      const at = list.indexOf(sequence);
      if (at >= 0) list.splice(at, 1);
    }
    this.#release(sequence);
  }

  /**
   * The chunks of the next step, a sequence at most once each; none where there is nothing to do.
   */
  next(): readonly Chunk[] {
    const chunks: Chunk[] = [];
    let left = this.#limits.tokens;
    for (const sequence of [...this.#running]) {
      if (left === 0) break;
      // It may have been preempted for one before it.
      if (!this.#running.includes(sequence) || !generates(sequence)) continue;
      if (isHeldBack(sequence)) continue;
      if (!this.#makePages(sequence)) continue;
      chunks.push(chunkOf(sequence, 1));
      left--;
    }
    for (const sequence of this.#running) {
      if (left === 0) break;
      if (generates(sequence) || isHeldBack(sequence)) continue;
      const chunk = chunkOf(sequence, left);
      chunks.push(chunk);
      left -= chunk.count;
    }
    while (left > 0 && this.#running.length < this.#limits.sequences) {
      const [sequence] = this.#waiting;
      if (!sequence || isHeldBack(sequence) || !this.#admit(sequence)) break;
      this.#waiting.shift();
      this.#running.push(sequence);
      const chunk = chunkOf(sequence, left);
      chunks.push(chunk);
      left -= chunk.count;
    }
    return this.#withDrafts(chunks);
  }

  /**
   * How often what `next()` gave can run before the host has to look at the tokens, each time a token
   * further; takes the pages for it. More than once only where all of it generates, as far as answers
   * may go and free pages reach; nothing that waits could begin in between.
   */
  ahead(chunks: readonly Chunk[], context: number): number {
    const reach = chunks.reduce(
      (least, { sequence, draft }) =>
        generates(sequence) && draft.length === 0 && needsLogitsOnly(sequence.request)
          ? Math.min(least, remaining(sequence, context))
          : 1,
      this.#limits.ahead ?? 1,
    );
    // Powers of two: few different numbers of steps have to be put on record.
    const most = 2 ** Math.floor(Math.log2(Math.max(1, reach)));
    const needs = chunks.map(({ sequence }) => {
      const tokens = sequence.tokens.length + most - 1;
      return Math.max(0, this.#pages.needed(tokens) - sequence.pages.length);
    });
    if (most <= 1 || needs.reduce((sum, need) => sum + need, 0) > this.#pages.available) return 1;
    chunks.forEach(({ sequence }, i) => {
      for (let page = 0; page < needs[i]!; page++) sequence.pages.push(this.#pages.take()!);
    });
    return most;
  }

  /** Puts drafts behind what generates, where nothing else runs and pages are free. */
  #withDrafts(chunks: readonly Chunk[]): readonly Chunk[] {
    const { drafts, tokens } = this.#limits;
    if (!drafts || chunks.length > drafts.sequences) return chunks;
    if (!chunks.every(({ sequence }) => generates(sequence))) return chunks;
    let left = tokens - chunks.length;
    return chunks.map((chunk) => {
      const { sequence } = chunk;
      const draft = sequence.draft.slice(0, Math.min(drafts.tokens, left));
      const reach = sequence.tokens.length + draft.length;
      const need = Math.max(0, this.#pages.needed(reach) - sequence.pages.length);
      if (draft.length === 0 || need > this.#pages.available) return chunk;
      for (let page = 0; page < need; page++) sequence.pages.push(this.#pages.take()!);
      left -= draft.length;
      return { ...chunk, count: 1 + draft.length, draft };
    });
  }

  /** Says that a chunk was run; full pages become known to prompts that begin alike. */
  done({ sequence, start, count }: Pick<Chunk, "sequence" | "start" | "count">): void {
    sequence.computed = start + count;
    const { tokens, pages } = sequence;
    for (let at = this.#pages.needed(start + 1) - 1; at < pages.length; at++) {
      if (this.#pages.tokensIn(at + 1) > sequence.computed) break;
      this.#pages.learn(tokens, at, { pages, root: sequence.request.adapter ?? 0 });
    }
  }

  /** Takes pages for the tokens of a sequence that waits, if there are enough. */
  #admit(sequence: Sequence): boolean {
    const { tokens, request } = sequence;
    // Scores of the whole prompt, and a vector of it, need all of it computed.
    const whole = request.promptLogprobs !== undefined || request.embed !== undefined;
    const found = whole ? [] : this.#pages.use(tokens, request.adapter);
    const need = this.#pages.needed(tokens.length + 1);
    if (this.#pages.available < need - found.length) {
      for (const page of found.reverse()) this.#pages.give(page);
      return false;
    }
    sequence.pages.push(...found);
    sequence.computed = this.#pages.tokensIn(found.length);
    this.#pages.count({ queries: tokens.length, hits: sequence.computed });
    sequence.cached ??= sequence.computed;
    while (sequence.pages.length < need) sequence.pages.push(this.#pages.take()!);
    return true;
  }

  /** Makes sure that the next token has a page, by preemption; false where it met the sequence itself. */
  #makePages(sequence: Sequence): boolean {
    const need = this.#pages.needed(sequence.tokens.length);
    while (sequence.pages.length < need) {
      const page = this.#pages.take();
      if (page !== undefined) {
        sequence.pages.push(page);
        continue;
      }
      const last = this.#running.pop()!;
      this.#preemptions++;
      this.#release(last);
      this.#waiting.unshift(last);
      if (last === sequence) return false;
    }
    return true;
  }

  #release(sequence: Sequence): void {
    // The last pages first: a prompt that begins alike needs the first ones longest.
    for (const page of sequence.pages.splice(0).reverse()) this.#pages.give(page);
    sequence.computed = 0;
  }
}

/** Whether it is in decode: only its last token is not computed. */
function generates({ tokens, computed, request }: Sequence): boolean {
  return computed === tokens.length - 1 && tokens.length > request.prompt.length;
}

function chunkOf(sequence: Sequence, most: number): Chunk {
  const { computed, tokens } = sequence;
  const count = Math.min(most, tokens.length - computed);
  return { sequence, start: computed, count, last: computed + count === tokens.length, draft: [] };
}

/** The numbers of adapters that sequences go through, each once. */
export function adaptersOf(sequences: Iterable<Sequence>): readonly number[] {
  const numbers = [...sequences].flatMap(({ request: { adapter } }) => adapter ?? []);
  return [...new Set(numbers)].sort((a, b) => a - b);
}
