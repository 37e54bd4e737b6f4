import { join } from "node:path";
import { tryLock } from "../../store/lock.ts";
import { openOwnDirectory } from "../../store/owner_only.ts";
import { refuseTaken, startRestateServer } from "./server.ts";
import { registrarAt } from "./registrar.ts";
import { artifactOrders } from "./artifact_orders.ts";
import { loadRestate } from "./sdk.ts";
import { workerPool } from "./worker_pool.ts";

/** Where to serve and what to keep. */
export interface RestateOptions {
  readonly host: string;
  /** Where orders come in; the three ports after it are used too, on loopback. */
  readonly port: number;
  readonly directory: string;
  readonly signal: AbortSignal;
  onReady(addresses: { readonly ingress: string; readonly page: string }): void;
}

/**
 * Runs Restate's server and the objects that distribute work, until `signal` aborts.
 *
 * Ports are fixed, since the server remembers where the objects are: what was ordered before a
 * restart goes on after it.
 */
export async function serveRestate(options: RestateOptions): Promise<void> {
  const { port, signal, onReady, ...rest } = options;
  const [adminPort, nodePort, dispatcherPort] = [port + 1, port + 2, port + 3];
  const admin = `http://127.0.0.1:${adminPort}`;
  await openOwnDirectory(rest.directory);
  using lock = await tryLock(join(rest.directory, "lock"));
  if (lock === undefined) {
    throw new Error(
      `Cannot serve ${rest.directory}: another server does, expected none; use that one, or give ` +
        "another --data",
    );
  }
  refuseTaken(rest.host, port);
  for (const inner of [adminPort, nodePort, dispatcherPort]) refuseTaken("127.0.0.1", inner);
  await using dispatcher = await serveDispatcher({ port: dispatcherPort, admin });
  await using server = await startRestateServer({ ...rest, port, adminPort, nodePort, signal });
  const added = await registrarAt(admin).add(dispatcher.uri);
  if ("why" in added) throw new Error(added.why);
  onReady({ ingress: server.ingress, page: `${admin}/ui/` });
  const stopped = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const why = await Promise.race([server.over, stopped]);
  if (why !== undefined && !signal.aborted) throw new Error(why);
}

/** Serves what distributes the work, on loopback beside the server; dispose it to stop. */
export async function serveDispatcher(
  { port, admin }: { readonly port: number; readonly admin: string },
): Promise<{ readonly uri: string } & AsyncDisposable> {
  const restate = await loadRestate();
  const registrar = registrarAt(admin);
  const handler = restate.createEndpointHandler({
    services: [artifactOrders(restate), workerPool(restate, registrar)],
    bidirectional: true,
    // What goes wrong comes back to whoever ordered.
    logger: () => {},
  });
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, handler);
  return {
    uri: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
