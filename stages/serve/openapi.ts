import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { messageErrorBody } from "./answer_schemas.ts";
import { errorBody } from "./api_error.ts";
import { serveOptions } from "./options.ts";
import type { ServeContext } from "./request_scope.ts";
import type { Route } from "./routes.ts";

/** What each event of a stream holds. */
const streamedEvent = z.object({
  event: z.string().optional(),
  data: z.string().describe("JSON, or [DONE]"),
}).describe("an event of several, where the request says stream");

/** Why a request is not answered, by status. */
const REFUSALS: Readonly<Record<number, string>> = {
  400: "The request says what it must not",
  401: "It has no API key, or another one",
  403: "It is for a host that this server is not",
  404: "There is no such model",
  408: "It took longer than allowed",
  413: "It is longer than allowed",
  415: "It does not say that it is JSON",
  429: "As many requests wait as may; ask again later",
  500: "The server failed",
  503: "No requests are taken at the moment; ask again later",
};

/** Statuses that a route may answer with besides 200. */
export function refusalsOf({ path, access, fields, gives }: Route): number[] {
  return [
    400,
    ...access === "key" ? [401, 403] : [],
    ...fields || path.includes("{id}") ? [404] : [],
    ...fields ? [408, 413, 415, 429] : [],
    500,
    ...fields || gives ? [503] : [],
  ];
}

/** Adds a route to what `/openapi.json` tells. */
export function describeRoute(registry: OpenAPIHono["openAPIRegistry"], route: Route): void {
  const { method, path, about, fields, gives, streams } = route;
  const schema = path.startsWith("/v1/messages") ? messageErrorBody : errorBody;
  const refusals = refusalsOf(route).map((status) => [status, {
    description: REFUSALS[status]!,
    content: { "application/json": { schema } },
  }]);
  registry.registerPath({
    method: method === "GET" ? "get" : "post",
    path,
    summary: about,
    request: {
      ...path.includes("{id}") ? { params: z.object({ id: z.string() }) } : {},
      ...fields
        ? { body: { required: true, content: { "application/json": { schema: fields } } } }
        : {},
    },
    responses: {
      200: {
        description: "Done",
        ...gives && {
          content: {
            "application/json": { schema: gives },
            ...streams && {
              "text/event-stream": { schema: streamedEvent },
            },
          },
        },
      },
      ...Object.fromEntries(refusals),
    },
  });
}

/** What `/openapi.json` tells of the server as a whole: its model, and the limits of requests. */
export function describeServer({ card, options }: Pick<ServeContext, "card" | "options">) {
  const limits = Object.fromEntries(
    LIMITS.flatMap((name) => options[name] === undefined ? [] : [[name, options[name]]]),
  );
  const sentences = LIMITS.filter((name) => options[name] !== undefined)
    .map((name) => `${serveOptions.shape[name].description}: ${options[name]}`);
  return {
    title: "Quattuor",
    version: "1",
    description: `Answers of ${card.name}. Limits: ${sentences.join("; ")}.`,
    "x-limits": limits,
  };
}

/** Options that bound what a request may ask for. */
const LIMITS = [
  "maxBody",
  "maxEntries",
  "maxText",
  "maxTokens",
  "maxChoices",
  "maxLogprobs",
  "maxScores",
  "readTime",
  "timeout",
] as const;
