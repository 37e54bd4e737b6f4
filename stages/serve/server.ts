import type { Engine } from "../engine/engine.ts";
import { type Door, openDoor } from "./door.ts";
import { openMetrics } from "./metrics.ts";
import type { ModelCard } from "./model_card.ts";
import { readServeOptions } from "./options.ts";
import type { ModelRules } from "./reading_rules.ts";
import { logEvent } from "./request_log.ts";
import type { RequestReaders } from "./read.ts";
import { openService, type ServedParts, type Service } from "./service.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";

/** What a server is made of. */
export interface ServerParts {
  /** Belongs to whoever opened it; it may still be loading. */
  readonly engine: Engine;
  readonly tokenizer: ServedTokenizer;
  readonly card: ModelCard;
  /** Models beside it, with all their options. */
  readonly others?: readonly ServedParts[];
  /** Reads requests; threads do unless said. */
  readonly readers?: (first: ModelRules, all: readonly ModelRules[]) => RequestReaders;
  /** See `serveOptions`; what is left out has its default, with a door what was said of it. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Opened before, and the server's from now on; else it opens one by these options. */
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
  /**
   * Answers from other models from now on, at the same address; resolves once requests that were under
   * way are done, or had the time to drain: then nobody needs the models of before.
   */
  replace(models: readonly ServedParts[]): Promise<void>;
  /** Answers nothing until `replace()`, with status 503; resolves as that does. */
  pause(): Promise<void>;
}

/** How long clients have to read once nothing is answered any more. */
const CLOSE_MS = 1000;

/** Starts answering requests for a model; refuses an address that others reach without a key. */
export async function startServer(parts: ServerParts): Promise<Server> {
  const { engine, tokenizer, card, others = [], readers, signal } = parts;
  const door = parts.door ?? await openDoor(parts.options ?? {});
  const { url, listener: http } = door;
  const options = readServeOptions({ ...door.options, ...parts.options });
  let current: Service | undefined;
  const metrics = openMetrics(() => {
    const models = current?.models ?? [];
    return models.filter(({ adapter }) => adapter === undefined).map(({ engine, card }) => ({
      engine,
      model: card.name,
      adapters: models.filter((other) => other.engine === engine && other.adapter !== undefined)
        .map(({ card: { name } }) => name),
    }));
  });
  const open = (models: readonly ServedParts[]) => {
    const given = readers &&
      { readers: (rules: readonly ModelRules[]) => readers(rules[0]!, rules) };
    const service = current = openService(models, { metrics, ...given });
    door.open((request) => service.answer(request));
  };
  open([{ engine, tokenizer, card, options }, ...others]);
  logEvent("Listening", { url, model: card.name });
  const drain = () => (current?.models[0] ?? { options }).options.drain;
  const finished = Promise.withResolvers<void>();
  let stopped: Promise<void> | undefined;
  const stop = async (seconds: number) => {
    signal?.removeEventListener("abort", onSignal);
    logEvent("Stopping", { underWay: current?.open.size ?? 0 });
    await current?.end(seconds);
    http.close();
    const timer = setTimeout(() => http.cut(), CLOSE_MS);
    await http.gone;
    clearTimeout(timer);
    logEvent("Stopped");
    finished.resolve();
  };
  const onSignal = () => void (stopped ??= stop(drain()));
  signal?.addEventListener("abort", onSignal);
  if (signal?.aborted) onSignal();
  return {
    url,
    finished: finished.promise,
    stop: () => stopped ??= stop(drain()),
    async replace(models) {
      const before = current;
      const seconds = drain();
      open(models);
      logEvent("Replaced", { models: models.map(({ card: { name } }) => name) });
      await before?.end(seconds);
    },
    async pause() {
      const before = current;
      const seconds = drain();
      current = undefined;
      door.shut();
      await before?.end(seconds);
    },
    [Symbol.asyncDispose]: () => stopped ??= stop(0),
  };
}
