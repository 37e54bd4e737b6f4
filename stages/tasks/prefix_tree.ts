import type { TokenRequest } from "./token_requests.ts";

/** Tokens that follow each other and, but for the last one, are followed by nothing else. */
export interface TreeRun {
  /** Its first row. */
  readonly start: number;
  readonly count: number;
  /** Rows of all tokens of the sequence up to its end, its own ones last. */
  readonly path: readonly number[];
}

/** A logit that is looked at: the row it is of, and the token. */
export interface TreeTarget {
  readonly row: number;
  readonly token: number;
}

/** Sequences that share what they begin with: a row for every token that differs in what is before it. */
export interface PrefixTree {
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly positions: Uint32Array<ArrayBuffer>;
  readonly runs: readonly TreeRun[];
  /** What is scored, request after request. */
  readonly targets: readonly TreeTarget[];
  /** Tokens of the longest sequence. */
  readonly longest: number;
}

interface Node {
  readonly id: number;
  readonly depth: number;
  readonly next: Map<number, Node>;
  row: number;
}

/** Grows a tree, request by request. */
export class TreeBuilder {
  readonly #roots = new Map<number, Node>();
  readonly #requests: TokenRequest[] = [];
  #size = 0;

  /** Rows so far. */
  get size(): number {
    return this.#size;
  }

  /** Rows that a request would add. */
  added({ ids }: TokenRequest): number {
    let nodes = this.#roots;
    for (let at = 0; at < ids.length - 1; at++) {
      const found = nodes.get(ids[at]!);
      if (!found) return ids.length - 1 - at;
      nodes = found.next;
    }
    return 0;
  }

  /** Takes a request; its last token is not run. */
  add(request: TokenRequest): void {
    const { ids } = request;
    let nodes = this.#roots;
    for (let at = 0; at < ids.length - 1; at++) {
      let found = nodes.get(ids[at]!);
      if (!found) {
        found = { id: ids[at]!, depth: at, next: new Map(), row: -1 };
        nodes.set(found.id, found);
        this.#size++;
      }
      nodes = found.next;
    }
    this.#requests.push(request);
  }

  /** The tree of all requests so far. */
  build(): PrefixTree {
    const ids = new Uint32Array(this.#size);
    const positions = new Uint32Array(this.#size);
    const runs: TreeRun[] = [];
    let rows = 0;
    const waiting = [...this.#roots.values()].reverse()
      .map((node) => ({ node, before: [] as readonly number[] }));
    for (let first = waiting.pop(); first; first = waiting.pop()) {
      const start = rows;
      const own: number[] = [];
      let node = first.node;
      for (;;) {
        ids[rows] = node.id;
        positions[rows] = node.depth;
        node.row = rows;
        own.push(rows++);
        if (node.next.size !== 1) break;
        node = node.next.values().next().value!;
      }
      const path = [...first.before, ...own];
      runs.push({ start, count: own.length, path });
      for (const next of [...node.next.values()].reverse()) {
        waiting.push({ node: next, before: path });
      }
    }
    const targets = this.#requests.flatMap((request) => this.#targetsOf(request));
    const longest = this.#requests.reduce((most, { ids }) => Math.max(most, ids.length - 1), 0);
    return { ids, positions, runs, targets, longest };
  }

  #targetsOf({ ids, scored }: TokenRequest): TreeTarget[] {
    const targets: TreeTarget[] = [];
    let nodes = this.#roots;
    for (let at = 0; at < ids.length - 1; at++) {
      const node = nodes.get(ids[at]!)!;
      if (at >= ids.length - 1 - scored) targets.push({ row: node.row, token: ids[at + 1]! });
      nodes = node.next;
    }
    return targets;
  }
}
