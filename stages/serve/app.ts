import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { cors } from "hono/cors";
import { openAccess } from "./access.ts";
import { ApiError, toApiError } from "./api_error.ts";
import { describeRoute, describeServer } from "./openapi.ts";
import { logFailure, logRequest, type RequestEntry, type ServeEnv } from "./request_log.ts";
import { messageError } from "./forms/messages.ts";
import { LEFT, type ServeContext } from "./request_scope.ts";
import { routeOf, ROUTES } from "./routes.ts";

/** Makes the program that answers requests: routes, who may ask, limits, errors. */
export function openApp(serving: ServeContext): OpenAPIHono<ServeEnv> {
  const { options, metrics } = serving;
  const app = new OpenAPIHono<ServeEnv>({ strict: false });
  const access = openAccess(options);
  app.use(async (context, next) => {
    const entry: RequestEntry = {
      id: requestId(context.req.header("x-request-id")),
      method: context.req.method,
      path: pathOf(context),
    };
    context.set("entry", entry);
    const start = performance.now();
    await next();
    const { res } = context;
    res.headers.set("x-request-id", entry.id);
    // The body goes, its length stays.
    if (entry.method === "HEAD" && !res.headers.has("content-length")) {
      const { byteLength } = await res.clone().arrayBuffer();
      res.headers.set("content-length", String(byteLength));
    }
    const route = routeOf(entry.path)?.path ?? "other";
    metrics.count(route, res.status);
    // A stream is told of when it ends.
    if (!res.headers.get("content-type")?.startsWith("text/event-stream")) {
      logRequest(entry, res.status, performance.now() - start);
    }
  });
  if (options.origins.length > 0) {
    const origin = options.origins.includes("*") ? "*" : [...options.origins];
    app.use(cors({ origin, exposeHeaders: ["x-request-id"], maxAge: 600 }));
  }
  app.use(async (context, next) => {
    const route = routeOf(pathOf(context));
    if (route?.access !== "public") access(context.req.raw);
    await next();
  });
  for (const route of ROUTES) {
    describeRoute(app.openAPIRegistry, route);
    const path = route.path.replace("{id}", ":id{.+}");
    app.on(route.method, path, (context) => route.answer(serving, context));
    app.all(path, ({ req }) => {
      throw new ApiError(
        405,
        `Cannot ${req.method} ${req.path}: expected ${route.method}`,
        { code: "method_not_allowed", headers: { allow: route.method } },
      );
    });
  }
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: describeServer(serving),
  });
  app.notFound(({ req }) => {
    throw new ApiError(404, `Cannot find ${req.path}: /openapi.json lists what there is`, {
      code: "not_found",
    });
  });
  app.onError((error, context) => answerError(error, context));
  return app;
}

function answerError(error: unknown, context: Context<ServeEnv>): Response {
  const told = toApiError(error);
  // Nobody reads this; it is no failure.
  if (error === LEFT) return new Response(null, { status: 499 });
  if (told.status >= 500 && told.status !== 503) logFailure(context.get("entry"), error);
  const body = pathOf(context).startsWith("/v1/messages") ? messageError(told) : told.body;
  return context.json(body, told.status as 400, { ...told.headers });
}

/** The path of a request, which may end with a slash that others have not. */
function pathOf({ req: { path } }: Context<ServeEnv>): string {
  return path.replace(/(?<=.)\/$/, "");
}

/** The client's own name for a request where it is harmless, else a new one. */
function requestId(given: string | undefined): string {
  return given !== undefined && /^[\w.-]{1,64}$/.test(given) ? given : crypto.randomUUID();
}
