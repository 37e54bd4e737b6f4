import type { Engine } from "../engine/engine.ts";
import { openApp } from "./app.ts";
import { type Door, openDoor } from "./door.ts";
import { openMetrics } from "./metrics.ts";
import type { ModelCard } from "./model_card.ts";
import type { ReadingRules } from "./reading_rules.ts";
import { logEvent } from "./request_log.ts";
import type { RequestReaders } from "./read.ts";
import { ReaderPool } from "./reader_pool.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import type { ServeContext } from "./request_scope.ts";

/** What a server is made of. */
export interface ServerParts {
  /** Belongs to whoever opened it; it may still be loading. */
  readonly engine: Engine;
  readonly tokenizer: ServedTokenizer;
  readonly card: ModelCard;
  /** Reads requests; threads do unless said. */
  readonly readers?: (rules: Omit<ReadingRules, "context">) => RequestReaders;
  /** See `serveOptions`; what is left out has its default. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Opened by these options before, and the server's from now on; else it opens one. */
  readonly door?: Door;
  /** Stops the server, as `stop()` does. */
  readonly signal?: AbortSignal;
}

/** A server that answers; disposing it does not wait for requests under way. */
export interface Server extends AsyncDisposable {
  /** Where it is reached, without a slash at the end. */
  readonly url: string;
  /** Fulfilled when it has stopped. */
  readonly finished: Promise<void>;
  /** Takes no more requests, gives those under way the time to drain, and ends. */
  stop(): Promise<void>;
}

/** How often a server that stops looks whether all requests are done. */
const LOOK_MS = 20;

/** How long clients have to read once nothing is answered any more. */
const CLOSE_MS = 1000;

/** Starts answering requests for a model; refuses an address that others reach without a key. */
export async function startServer(parts: ServerParts): Promise<Server> {
  const { engine, tokenizer, card, signal } = parts;
  const door = parts.door ?? await openDoor(parts.options ?? {});
  const { options, url, listener: http } = door;
  const closing = new AbortController();
  let draining = false;
  const rules = { tokenizer, card, options };
  const readers = parts.readers?.(rules) ?? openReaders(rules, () => engine.context);
  const serving: ServeContext = {
    engine,
    tokenizer,
    card,
    options,
    metrics: openMetrics(engine, card),
    readers,
    receiving: { bytes: 0 },
    created: Math.floor(Date.now() / 1000),
    closing: closing.signal,
    open: new Set(),
    draining: () => draining,
  };
  const app = openApp(serving);
  door.open((request) => app.fetch(request));
  logEvent("Listening", { url, model: card.name });
  const finished = Promise.withResolvers<void>();
  let stopped: Promise<void> | undefined;
  const stop = async (seconds: number) => {
    draining = true;
    signal?.removeEventListener("abort", onSignal);
    logEvent("Stopping", { underWay: serving.open.size });
    await idle(serving, performance.now() + seconds * 1000);
    closing.abort();
    await idle(serving, performance.now() + CLOSE_MS);
    http.close();
    const timer = setTimeout(() => http.cut(), CLOSE_MS);
    await http.gone;
    clearTimeout(timer);
    readers[Symbol.dispose]();
    logEvent("Stopped");
    finished.resolve();
  };
  const onSignal = () => void (stopped ??= stop(options.drain));
  signal?.addEventListener("abort", onSignal);
  if (signal?.aborted) onSignal();
  return {
    url,
    finished: finished.promise,
    stop: () => stopped ??= stop(options.drain),
    [Symbol.asyncDispose]: () => stopped ??= stop(0),
  };
}

/** Threads that read requests, on their way before the first of these comes. */
function openReaders(rules: Omit<ReadingRules, "context">, context: () => number): ReaderPool {
  const pool = new ReaderPool(rules, context);
  pool.start();
  return pool;
}

/** Waits until no request is under way, at most until a moment. */
async function idle({ open }: ServeContext, until: number): Promise<void> {
  while (open.size > 0 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
