import { artifactOrders } from "./artifact_orders.ts";
import { registrarAt } from "./registrar.ts";
import { loadRestate } from "./sdk.ts";
import { workerPool } from "./worker_pool.ts";

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
