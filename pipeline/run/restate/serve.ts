import { join } from "node:path";
import { tryLock } from "../../store/lock.ts";
import { openOwnDirectory } from "../../store/owner_only.ts";
import { refuseTaken, startRestateServer } from "./server.ts";
import { openServerAccess, type RestateAccess } from "./access.ts";
import { openGate } from "./gate.ts";
import { type Registrar, registrarAt } from "./registrar.ts";
import { artifactOrders } from "./artifact_orders.ts";
import { loadRestate } from "./sdk.ts";
import { workerPool } from "./worker_pool.ts";

/** Where to serve and what to keep. */
export interface RestateOptions {
  readonly host: string;
  /** Where orders come in; the port after it is used too, on loopback. */
  readonly port: number;
  /** Of the store, which workers and runs know. */
  readonly store: string;
  readonly directory: string;
  readonly signal: AbortSignal;
  onReady(addresses: {
    /** Where orders come in. */
    readonly ingress: string;
    /** Where the objects listen that give work to workers. */
    readonly dispatcher: string;
  }): void;
}

/**
 * Runs Restate's server and the objects that distribute work, until `signal` aborts.
 *
 * Ports are fixed, since the server remembers where the objects are: what was ordered before a
 * restart goes on after it.
 */
export async function serveRestate(options: RestateOptions): Promise<void> {
  const { host, port, directory, signal, onReady } = options;
  const dispatcherPort = port + 1;
  await openOwnDirectory(directory);
  using lock = await tryLock(join(directory, "lock"));
  if (lock === undefined) {
    throw new Error(
      `Cannot serve ${directory}: another server does, expected none; use that one, or give ` +
        "another --data",
    );
  }
  refuseTaken(host, port);
  refuseTaken("127.0.0.1", dispatcherPort);
  const access = await openServerAccess(options.store);
  const { keyFile } = access;
  await using server = await startRestateServer({ directory, keyFile, signal });
  using registrar = registrarAt(server.admin);
  await using dispatcher = await serveDispatcher({ port: dispatcherPort, registrar, access });
  const added = await registrar.add(dispatcher.uri);
  if ("why" in added) throw new Error(added.why);
  await using gate = openGate({ host, port, socket: server.ingress, access });
  onReady({ ingress: gate.url, dispatcher: dispatcher.uri });
  const stopped = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const why = await Promise.race([server.over, stopped]);
  if (why !== undefined && !signal.aborted) throw new Error(why);
}

/** Serves what distributes the work, on loopback beside the server; dispose it to stop. */
export async function serveDispatcher(
  { port, registrar, access: { identity } }: {
    readonly port: number;
    readonly registrar: Registrar;
    readonly access: RestateAccess;
  },
): Promise<{ readonly uri: string } & AsyncDisposable> {
  const restate = await loadRestate();
  const handler = restate.createEndpointHandler({
    services: [artifactOrders(restate), workerPool(restate, registrar)],
    bidirectional: true,
    // Of whoever else calls, nothing is done.
    identityKeys: [identity],
    // What goes wrong comes back to whoever ordered.
    logger: () => {},
  });
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, handler);
  return {
    uri: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
