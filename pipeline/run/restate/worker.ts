import { setTimeout as sleep } from "node:timers/promises";
import type { Emit } from "../../event.ts";
import { lazyTools } from "../lazy_tools.ts";
import type { Registry } from "../../stage.ts";
import type { Store } from "../../store/store.ts";
import { carryOut } from "./carry_out.ts";
import { refuseTaken } from "./server.ts";
import { parseOrder } from "./incoming_order.ts";
import { readAccess } from "./access.ts";
import { Ingress } from "./ingress.ts";
import { loadRestate } from "./sdk.ts";
import { type Answer, EVERY, type WorkerCard, WORKERS } from "./wire.ts";
import { Workbench } from "./workbench.ts";
import { workerDesk } from "./worker_desk.ts";

/** What a worker works with. */
export interface WorkerOptions {
  /** Where the server takes calls. */
  readonly restate: string;
  /** Where the worker listens, and where the server reaches it. */
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly store: Store;
  readonly stages: Registry;
  /** Makes what stages get as `job.tools`: once, for the first order. */
  tools(): unknown;
  readonly emit: Emit;
  /** Lets the worker go when its stage has stopped at the next good moment. */
  readonly signal: AbortSignal;
  onJoin(card: WorkerCard): void;
  /** The server is silent, or not any more. */
  onTrouble(why: string): void;
}

/** How often a worker looks whether it is still known: a server that lost it gives it no orders. */
const LOOK_MS = 10_000;

/** Works at orders until `signal` aborts. */
export async function serveWorker(options: WorkerOptions): Promise<void> {
  const { host, port, signal } = options;
  if (/^(0\.0\.0\.0|::)$/.test(host)) {
    throw new RangeError(
      `Cannot work at ${host}: it is every address, expected the one at which the server reaches ` +
        "this worker",
    );
  }
  refuseTaken(host, port);
  const restate = await loadRestate();
  const access = await readAccess(options.store.path);
  const tools = lazyTools(options.tools);
  const bench = new Workbench<Answer>();
  const name = `worker_${crypto.randomUUID().slice(0, 8)}`;
  const work = (said: unknown, stop: AbortSignal) =>
    carryOut(parseOrder(said), { ...options, tools: tools.open, name, signal: stop });
  const idOf = (said: unknown) => parseOrder(said).id;
  const handler = restate.createEndpointHandler({
    services: [workerDesk(restate, { name, bench, idOf, work, leaving: signal })],
    bidirectional: true,
    // Of whoever else calls, nothing is done.
    identityKeys: [access.identity],
    // What goes wrong is told as an event.
    logger: () => {},
  });
  const server = Deno.serve({ hostname: host, port, onListen: () => {} }, handler);
  const uri = `http://${host.includes(":") ? `[${host}]` : host}:${server.addr.port}`;
  try {
    await beKnown({ name, uri, host: Deno.hostname(), pid: Deno.pid }, options);
  } finally {
    await bench.clear(signal.reason);
    await server.shutdown();
    await tools.close();
  }
}

/** Joins, and joins again when the server has forgotten the worker; leaves at the end. */
async function beKnown(
  card: WorkerCard,
  { restate, store, signal, onJoin, onTrouble }: WorkerOptions,
): Promise<void> {
  const ingress = new Ingress(restate, await readAccess(store.path));
  await ingress.call(`${WORKERS}/${EVERY}/join`, card);
  onJoin(card);
  while (!signal.aborted) {
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) break;
    try {
      const known = await ingress.call<readonly WorkerCard[]>(`${WORKERS}/${EVERY}/list`);
      if (known.some(({ name }) => name === card.name)) continue;
      await ingress.call(`${WORKERS}/${EVERY}/join`, card);
      onJoin(card);
    } catch (error) {
      onTrouble((error as Error).message);
    }
  }
  await ingress.call(`${WORKERS}/${EVERY}/leave`, card.name).catch(() => {});
}
