import type { Engine } from "../engine/engine.ts";
import { openApp } from "./app.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { ModelCard } from "./model_card.ts";
import type { ServeOptions } from "./options.ts";
import type { RequestReaders } from "./read.ts";
import type { ModelRules } from "./reading_rules.ts";
import { ReaderPool } from "./reader_pool.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import type { ServeContext } from "./request_scope.ts";

/** A model that a server answers from. */
export interface ServedParts {
  /** Belongs to whoever opened it; it may still be loading. */
  readonly engine: Engine;
  readonly tokenizer: ServedTokenizer;
  readonly card: ModelCard;
  readonly options: ServeOptions;
  /** The number of the engine's adapter that its requests go through. */
  readonly adapter?: number;
}

/** What a server answers with until it is replaced: models, readers, requests under way. */
export interface Service {
  readonly models: readonly ServedParts[];
  /** Requests under way. */
  readonly open: ReadonlySet<object>;
  answer(request: Request): Response | Promise<Response>;
  /** Takes no more requests from now on; those under way have some seconds, then they are given up. */
  end(seconds: number): Promise<void>;
}

/** How often one that ends looks whether all requests are done. */
const LOOK_MS = 20;
/** How long clients have to read once nothing is answered any more. */
const CLOSE_MS = 1000;

/** Begins to answer from some models, of which the first is meant where a request names none. */
export function openService(
  models: readonly ServedParts[],
  { metrics, readers: open = openReaders }: {
    readonly metrics: ServerMetrics;
    /** Opens what reads requests; threads do unless said. */
    readonly readers?: (rules: readonly ModelRules[], context: ContextOf) => RequestReaders;
  },
): Service {
  const closing = new AbortController();
  let draining = false;
  const rules = models.map(({ tokenizer, card, options }, at) => ({
    tokenizer,
    card,
    options,
    others: models.filter((_, other) => other !== at).map(({ card }) => card.name),
  }));
  const readers = open(rules, (at) => models[at]!.engine.context);
  const contexts: ServeContext[] = [];
  const shared = {
    readers,
    receiving: { bytes: 0 },
    created: Math.floor(Date.now() / 1000),
    closing: closing.signal,
    open: new Set<object>(),
    draining: () => draining,
    models: contexts,
  };
  for (const model of models) {
    contexts.push({ ...model, metrics: metrics.of(model.card.name), ...shared });
  }
  const app = openApp(contexts[0]!);
  return {
    models,
    open: shared.open,
    answer: (request) => app.fetch(request),
    async end(seconds) {
      draining = true;
      await idle(shared.open, performance.now() + seconds * 1000);
      closing.abort();
      await idle(shared.open, performance.now() + CLOSE_MS);
      readers[Symbol.dispose]();
    },
  };
}

/** The context of a model at the moment, by its place among the models. */
type ContextOf = (at: number) => number;

/** Threads that read requests, on their way before the first of these comes. */
function openReaders(rules: readonly ModelRules[], context: ContextOf): ReaderPool {
  const pool = new ReaderPool(rules, context);
  pool.start();
  return pool;
}

/** Waits until no request is under way, at most until a moment. */
async function idle(open: ReadonlySet<object>, until: number): Promise<void> {
  while (open.size > 0 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
