import { timedOut, unavailable } from "./api_error.ts";
import type { Asked } from "./asked.ts";
import type { Engine } from "../engine/engine.ts";
import type { ServeMetrics } from "./metrics.ts";
import type { ModelCard } from "./model_card.ts";
import type { ServeOptions } from "./options.ts";
import type { RequestReaders } from "./read.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";

/** What the routes of a server work with. */
export interface ServeContext {
  readonly engine: Engine;
  readonly tokenizer: ServedTokenizer;
  readonly card: ModelCard;
  readonly options: ServeOptions;
  /** The number of the engine's adapter that requests go through. */
  readonly adapter?: number;
  readonly metrics: ServeMetrics;
  readonly readers: RequestReaders;
  /** Bodies on their way, in all. */
  readonly receiving: { bytes: number };
  /** When it started, in seconds since 1970. */
  readonly created: number;
  /** Aborted when requests under way are given up. */
  readonly closing: AbortSignal;
  /** Requests under way. */
  readonly open: Set<object>;
  /** Whether no more requests are taken. */
  readonly draining: () => boolean;
  /** Those of all models of the server, the first one's first. */
  readonly models: readonly ServeContext[];
}

/** What answers a request that was read; it is counted as one of that model. */
export function servingFor({ models }: ServeContext, { model = 0, each }: Asked): ServeContext {
  const serving = models[model]!;
  serving.metrics.asked(each);
  return serving;
}

/** What answers say of the weights and the program behind them. */
export function fingerprintOf({ digest }: ModelCard): string {
  return `fp_${digest.slice(0, 12)}`;
}

/** How long a request lives: until it is answered, given up, timed out or nobody reads any more. */
export interface RequestScope extends Disposable {
  readonly signal: AbortSignal;
  /** Gives up what is under way because nobody wants it. */
  stop(): void;
}

/** The reason of signals where the client left; nobody is told of it. */
export const LEFT = new DOMException("The client left", "AbortError");

/**
 * Opens the scope of a request; dispose it when it is answered.
 *
 * A signal of the request itself says that the client has gone.
 */
export function openScope(
  { options, closing, open }: ServeContext,
  request: Request,
): RequestScope {
  const controller = new AbortController();
  const abort = (reason: unknown) => controller.abort(reason);
  const timer = setTimeout(() => abort(timedOut(options.timeout)), options.timeout * 1000);
  const onLeft = () => abort(LEFT);
  const onClosing = () => abort(unavailable("Cannot finish the request: the server stops"));
  if (closing.aborted) onClosing();
  request.signal.addEventListener("abort", onLeft);
  closing.addEventListener("abort", onClosing);
  open.add(controller);
  return {
    signal: controller.signal,
    stop: () => abort(LEFT),
    [Symbol.dispose]() {
      open.delete(controller);
      clearTimeout(timer);
      request.signal.removeEventListener("abort", onLeft);
      closing.removeEventListener("abort", onClosing);
    },
  };
}
