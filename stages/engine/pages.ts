import { pagesFor, tokensIn } from "../../kernels/codes/kv_page.ts";

/** A block of tokens whose keys and values are known: what came before, and its tokens. */
interface Block {
  readonly id: number;
  readonly page: number;
  readonly key: string;
}

/**
 * The pages of a KV cache: which are free, which are in use and by how many sequences, and which keep
 * what is no longer in use, so that a prompt that begins alike needs no work for it.
 *
 * A block is known by the block before it and its tokens, compared one by one: no hash can mistake
 * one text for another. It has 64 tokens, or fewer where it begins a sequence with sinks.
 */
export class Pages {
  readonly total: number;
  readonly #sinks: number;
  readonly #free: number[];
  readonly #users: Uint32Array;
  readonly #blocks = new Map<string, Block>();
  readonly #blockOf = new Map<number, Block>();
  /** Pages nobody uses that hold a known block, the one unused longest first. */
  readonly #kept = new Map<number, Block>();
  #nextId = 1;
  #queries = 0;
  #hits = 0;

  /** Pages 0 to `total` - 1, all free; the first `sinks` tokens of every sequence stay in half precision. */
  constructor(total: number, sinks = 0) {
    this.total = total;
    this.#sinks = sinks;
    this.#free = Array.from({ length: total }, (_, i) => total - 1 - i);
    this.#users = new Uint32Array(total);
  }

  /** Pages that can be taken now. */
  get available(): number {
    return this.#free.length + this.#kept.size;
  }

  /** Pages that sequences use, and pages nobody uses that keep a known block. */
  get counts(): { readonly used: number; readonly cached: number; readonly total: number } {
    return { used: this.total - this.available, cached: this.#kept.size, total: this.total };
  }

  /** Tokens looked up when prompts were admitted, and how many of them were there. */
  get prefixCache(): { readonly queries: number; readonly hits: number } {
    return { queries: this.#queries, hits: this.#hits };
  }

  /** Pages that a sequence of so many tokens needs. */
  needed(tokens: number): number {
    return pagesFor(tokens, this.#sinks);
  }

  /** Tokens that so many first pages of a sequence hold. */
  tokensIn(pages: number): number {
    return tokensIn(pages, this.#sinks);
  }

  /** Takes a page, if need be one that keeps what is no longer in use; undefined where all are used. */
  take(): number | undefined {
    let page = this.#free.pop();
    if (page === undefined) {
      const [oldest] = this.#kept.keys();
      if (oldest === undefined) return undefined;
      page = oldest;
      this.#forget(page);
    }
    this.#users[page] = 1;
    return page;
  }

  /** Gives a page back; what it holds is kept for prompts that begin alike. */
  give(page: number): void {
    if (--this.#users[page]! > 0) return;
    const block = this.#blockOf.get(page);
    if (block) this.#kept.set(page, block);
    else this.#free.push(page);
  }

  /** Counts tokens of a prompt that was admitted, and those of them that were there. */
  count({ queries, hits }: { readonly queries: number; readonly hits: number }): void {
    this.#queries += queries;
    this.#hits += hits;
  }

  /**
   * The pages that hold the beginning of a prompt already, now also in use by the caller.
   *
   * The last token is never among them: somebody has to compute what follows it. Under another root
   * (of an adapter) the same tokens have other keys and values.
   */
  use(tokens: readonly number[], root = 0): number[] {
    const found = this.#find(tokens, root);
    for (const { page } of found) {
      this.#users[page]!++;
      this.#kept.delete(page);
    }
    return found.map(({ page }) => page);
  }

  /** Says that a page in use holds block number `index` of a sequence, all of it computed. */
  learn(
    tokens: readonly number[],
    index: number,
    { pages, root = 0 }: { readonly pages: readonly number[]; readonly root?: number },
  ): void {
    const page = pages[index]!;
    if (this.#blockOf.has(page)) return;
    const before = index === 0 ? -root : this.#blockOf.get(pages[index - 1]!)?.id;
    // Behind a block that somebody else's page stands for, nothing would be found.
    if (before === undefined) return;
    const key = this.#keyOf(before, tokens, index);
    if (this.#blocks.has(key)) return;
    const block = { id: this.#nextId++, page, key };
    this.#blocks.set(key, block);
    this.#blockOf.set(page, block);
  }

  #find(tokens: readonly number[], root: number): Block[] {
    const found: Block[] = [];
    let before = -root;
    for (let index = 0; this.tokensIn(index + 1) < tokens.length; index++) {
      const block = this.#blocks.get(this.#keyOf(before, tokens, index));
      if (!block) break;
      found.push(block);
      before = block.id;
    }
    return found;
  }

  #keyOf(before: number, tokens: readonly number[], index: number): string {
    const own = tokens.slice(this.tokensIn(index), this.tokensIn(index + 1));
    return `${before}:${own.join(",")}`;
  }

  #forget(page: number): void {
    const block = this.#blockOf.get(page);
    if (!block) return;
    this.#blocks.delete(block.key);
    this.#blockOf.delete(page);
    this.#kept.delete(page);
  }
}
