import { setTimeout as sleep } from "node:timers/promises";
import type { Artifact } from "../../artifact.ts";
import type { Executor, Order, OrderUse } from "../executor.ts";
import { mapInputs } from "../../manifest/needs.ts";
import { keyOf } from "../../store/key.ts";
import type { Store, Stored } from "../../store/store.ts";
import { readAccess } from "./access.ts";
import { Ingress, OrderError, type Patience } from "./ingress.ts";
import { OrderEventReader } from "./order_events.ts";
import { type Answer, ARTIFACTS, EVERY, type WireOrder, type WorkerCard, WORKERS } from "./wire.ts";

/** Between two looks at what the worker tells. */
const LOOK_MS = 200;
/** Between two looks at who works. */
const WORKERS_MS = 3000;
/** How long a server may be silent before the user hears of it. */
const SILENT_MS = 5000;
/** How long a server that is silent is asked to stop an order. */
const CANCEL_MS = 10_000;
/** How long a made artifact may take to show: network file systems remember what was not there. */
const ARRIVAL_MS = 60_000;

/** Where orders are handed in, and where their artifacts show. */
interface OrderDesk {
  readonly ingress: Ingress;
  readonly store: Store;
  /** Counts the workers anew. */
  count(): Promise<number>;
}

/**
 * An executor whose orders are carried out by workers that share the store.
 *
 * The server keeps every order until it is over: workers and the server itself may die meanwhile. As
 * many orders go together as there are workers.
 */
export async function restateExecutor(
  url: string,
  { store }: { readonly store: Store },
): Promise<Executor> {
  const ingress = new Ingress(url, await readAccess(store.path));
  let workers = 0;
  const count = async () => {
    workers = (await ingress.call<readonly WorkerCard[]>(`${WORKERS}/${EVERY}/list`)).length;
    return workers;
  };
  await count();
  return {
    get width() {
      return Math.max(1, workers);
    },
    make: (order, use) => makeThere(order, { ingress, store, count, ...use }),
  };
}

async function makeThere(
  order: Order,
  { ingress, store, count, emit, signal }: OrderDesk & OrderUse,
): Promise<Stored & { readonly made: boolean }> {
  const wire = wireOf(order);
  const { id, key, step } = wire;
  const tell = (text: string) => emit({ type: "note", step, text, replayed: false });
  const onSilence = impatient((why) => tell(`Waiting for Restate at ${ingress.url}: ${why}`));
  await using events = await OrderEventReader.open(store.path, id);
  const invocation = await ingress.send(`${ARTIFACTS}/${key}/make`, {
    body: wire,
    id,
    signal,
    onSilence,
  });
  using stop = passingOn(signal, () => ingress.call(`${ARTIFACTS}/${key}/cancel`, invocation));
  const answer = ingress.attach<Answer>(invocation, { signal: stop.gaveUp, onSilence });
  const { emitNew } = retelling(events, { step, emit });
  await whileWaiting(answer, [
    { every: LOOK_MS, look: emitNew },
    { every: WORKERS_MS, look: tellingOfNobody(count, { tell, url: ingress.url }) },
  ]);
  await emitNew();
  try {
    const { digest, made, worker } = await answer;
    return { ...await arrival(key, { digest, worker, store }), made };
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof OrderError ? new Error(error.message) : error;
  }
}

/** An order without what only this machine understands. */
function wireOf({ step, stage, params, recipe, inputs, again }: Order): WireOrder {
  const keys = mapInputs(inputs, ({ key }: Artifact) => key);
  const id = crypto.randomUUID();
  const key = keyOf(recipe);
  return { id, key, step, stage, params, recipe, inputs: keys, again };
}

/** Looks here and there until something is over. */
async function whileWaiting(
  answer: Promise<unknown>,
  looks: readonly { readonly every: number; look(): Promise<void> }[],
): Promise<void> {
  let over = false;
  const end = answer.then(() => {}, () => {}).then(() => void (over = true));
  await Promise.all(looks.map(async ({ every, look }) => {
    while (!over) {
      await look();
      await Promise.race([end, sleep(every, undefined, { ref: false })]);
    }
  }));
}

/** Emits what a worker tells; what one that takes over tells again is left out. */
function retelling(
  events: OrderEventReader,
  { step, emit }: { readonly step: string } & Pick<OrderUse, "emit">,
): { emitNew(): Promise<void> } {
  const told = new Set<string>();
  return {
    emitNew: async () => {
      for (const event of await events.read()) {
        const said = event.type === "note" ? event.text : undefined;
        if (said !== undefined && told.has(said)) continue;
        if (said !== undefined) told.add(said);
        emit({ ...event, step });
      }
    },
  };
}

/** Says so when there is no worker, once each time. */
function tellingOfNobody(
  count: () => Promise<number>,
  { tell, url }: { tell(text: string): void; readonly url: string },
): () => Promise<void> {
  let before = 1;
  return async () => {
    const now = await count().catch(() => before);
    if (now === 0 && before > 0) {
      tell(`Waiting for a worker; deno task worker --restate ${url} starts one`);
    }
    before = now;
  };
}

/** Speaks when it was called for a while, and then no more. */
function impatient(speak: (why: string) => void): Patience["onSilence"] {
  let since: number | undefined;
  return (why) => {
    since ??= performance.now();
    if (performance.now() - since < SILENT_MS) return;
    since = Infinity;
    speak(why);
  };
}

/** Passes a stop on; `gaveUp` aborts when nobody took it in time. */
function passingOn(
  signal: AbortSignal,
  cancel: () => Promise<unknown>,
): Disposable & { readonly gaveUp: AbortSignal } {
  const gaveUp = new AbortController();
  const pass = async () => {
    const deadline = performance.now() + CANCEL_MS;
    while (performance.now() < deadline) {
      if (await cancel().then(() => true, () => false)) return;
      await sleep(500);
    }
    gaveUp.abort(signal.reason);
  };
  const listen = () => void pass();
  if (signal.aborted) listen();
  else signal.addEventListener("abort", listen, { once: true });
  return {
    gaveUp: gaveUp.signal,
    [Symbol.dispose]: () => signal.removeEventListener("abort", listen),
  };
}

/** An artifact that a worker made, as this machine sees the store. */
async function arrival(
  key: string,
  { digest, worker, store }: Omit<Answer, "made"> & { readonly store: Store },
): Promise<Stored> {
  const deadline = performance.now() + ARRIVAL_MS;
  for (;;) {
    const found = await store.inspect(key);
    if (found.state === "whole" && found.stored.artifact.digest === digest) return found.stored;
    if (performance.now() > deadline) {
      throw new Error(
        `Cannot find what ${worker} made: ${
          key.slice(0, 12)
        } is ${found.state} in ${store.path}, ` +
          "expected a store that this machine and its workers share",
      );
    }
    await sleep(500);
  }
}
