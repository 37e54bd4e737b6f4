import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener, RequestError } from "@hono/node-server";
import { ApiError, toApiError } from "./api_error.ts";
import type { ServeOptions } from "./options.ts";
import { logFailure } from "./request_log.ts";

/** A socket at which requests are answered. */
export interface Listener {
  readonly hostname: string;
  readonly port: number;
  /** Fulfilled when nobody is connected any more, after `close()`. */
  readonly gone: Promise<void>;
  /** Takes no more connections, and ends those on which nothing is under way. */
  close(): void;
  /** Ends all connections, whatever is under way. */
  cut(): void;
}

/** How often connections are looked at that have not sent their headers. */
const LOOK_MS = 500;

/** Seconds that a connection may be silent between two requests. */
const IDLE = 60;

/** Listens at an address; throws in a sentence where that cannot be. */
export async function listen(
  options: Pick<ServeOptions, "host" | "port" | "headerTime" | "timeout">,
  answer: (request: Request) => Response | Promise<Response>,
): Promise<Listener> {
  const { host, port, headerTime, timeout } = options;
  const http = createServer(
    {
      headersTimeout: headerTime * 1000,
      // The body's own time is the whole request's, and is told of by an answer.
      requestTimeout: (headerTime + timeout + 5) * 1000,
      keepAliveTimeout: IDLE * 1000,
      connectionsCheckingInterval: Math.min(LOOK_MS, headerTime * 500),
    },
    getRequestListener(async (request, { incoming, outgoing }) => {
      const response = await answer(request);
      // Nobody reads the rest: the next request would be taken for a part of it, or meet its end.
      if (!incoming.complete) outgoing.setHeader("connection", "close");
      return response;
    }, {
      overrideGlobalObjects: false,
      hostname: "localhost",
      errorHandler,
    }),
  );
  const gone = Promise.withResolvers<void>();
  http.on("close", gone.resolve);
  const { address, port: taken } = await bound(http, { host, port });
  return {
    hostname: address,
    port: taken,
    gone: gone.promise,
    close: () => void http.close(),
    cut: () => http.closeAllConnections(),
  };
}

/** Answers what is no request for this server at all. */
function errorHandler(error: unknown): Response {
  const malformed = error instanceof RequestError;
  if (!malformed) logFailure({ id: "none" }, error);
  const told = malformed
    ? new ApiError(400, `Cannot read the request: ${error.message}, expected a path and a host`, {
      code: "malformed_request",
      cause: error,
    })
    : toApiError(error);
  return Response.json(told.body, { status: told.status });
}

function bound(
  http: Server,
  { host, port }: Pick<ServeOptions, "host" | "port">,
): Promise<AddressInfo> {
  const listening = Promise.withResolvers<AddressInfo>();
  http.once("error", (cause: Error & { readonly code?: string }) => {
    const why = cause.code === "EADDRINUSE"
      ? `${host}:${port}: the port is taken, expected a free one; say --port, or 0 for any`
      : ["EADDRNOTAVAIL", "EINVAL"].includes(cause.code ?? "")
      ? `${host}: this machine has no such address, expected one of its own`
      : undefined;
    listening.reject(why ? new TypeError(`Cannot listen at ${why}`, { cause }) : cause);
  });
  http.listen(
    { host: host.replace(/^\[(.*)\]$/, "$1"), port },
    () => listening.resolve(http.address() as AddressInfo),
  );
  return listening.promise;
}
