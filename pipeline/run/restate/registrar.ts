import { messageOf } from "../../errors.ts";

/** Tells the server where services are. */
export interface Registrar extends Disposable {
  /** The server's name for an address, or why it has none. */
  add(uri: string): Promise<{ readonly id: string } | { readonly why: string }>;
  /** Lets the server forget an address; one that it does not know is forgotten already. */
  remove(id: string): Promise<void>;
}

/** The registrar of a server whose admin socket lies at a path. */
export function registrarAt(admin: string): Registrar {
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: admin } });
  return {
    add: async (uri) => {
      const answer = await fetch("http://localhost/deployments", {
        client,
        method: "POST",
        headers: { "content-type": "application/json" },
        // Forced, so that one that came back with other handlers replaces itself.
        body: JSON.stringify({ uri, force: true }),
      });
      const said = await answer.json().catch(() => ({})) as Record<string, unknown>;
      if (answer.ok && typeof said.id === "string") return { id: said.id };
      const why = `Cannot register ${uri}: the server says "${said.message ?? answer.status}", ` +
        "expected an address that it can reach; give --host one";
      return { why: messageOf(why) };
    },
    remove: async (id) => {
      const answer = await fetch(`http://localhost/deployments/${id}?force=true`, {
        client,
        method: "DELETE",
      });
      await answer.body?.cancel();
    },
    [Symbol.dispose]: () => client.close(),
  };
}
