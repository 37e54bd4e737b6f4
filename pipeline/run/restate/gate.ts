import { maySpeak, type RestateAccess } from "./access.ts";

/** What a client says of itself to the gate, or a gate to its client, that is not for the next. */
const BETWEEN = ["authorization", "connection", "host", "origin", "keep-alive"];

/** A door that is open; dispose it to close it. */
export interface Gate extends AsyncDisposable {
  readonly url: string;
}

/**
 * Lets those that know the token through to the address where Restate takes orders.
 *
 * Restate itself has no such question, and lets every page of a browser ask: so it listens on a socket
 * in the owner's directory, and this is what others reach. Nothing is said to browsers about origins.
 */
export function openGate(
  { host, port, socket, access }: {
    readonly host: string;
    readonly port: number;
    readonly socket: string;
    readonly access: RestateAccess;
  },
): Gate {
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const server = Deno.serve({ hostname: host, port, onListen: () => {} }, async (request) => {
    if (!maySpeak(request, access)) {
      const message = "Cannot let the call in: it does not have the token of the store, expected " +
        "a worker or a run on the store at which the server was started";
      return Response.json({ message }, { status: 401 });
    }
    const { pathname, search } = new URL(request.url);
    const { method, body, signal } = request;
    const headers = kept(request.headers);
    try {
      const answer = await fetch(`http://localhost${pathname}${search}`, {
        method,
        headers,
        body,
        signal,
        client,
        redirect: "manual",
      });
      return new Response(answer.body, { status: answer.status, headers: kept(answer.headers) });
    } catch {
      return Response.json({ message: "the server does not answer" }, { status: 503 });
    }
  });
  return {
    url: `http://${host === "0.0.0.0" ? "127.0.0.1" : host}:${port}`,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      client.close();
    },
  };
}

function kept(headers: Headers): Headers {
  const rest = new Headers(headers);
  for (const name of headers.keys()) {
    if (BETWEEN.includes(name) || name.startsWith("access-control-")) rest.delete(name);
  }
  return rest;
}
