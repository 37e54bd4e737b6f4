import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { errorBody } from "./api_error.ts";
import { serveOptions } from "./options.ts";
import type { ServeContext } from "./request_scope.ts";
import type { Route } from "./routes.ts";

/** Adds a route to what `/openapi.json` tells. */
export function describeRoute(
  registry: OpenAPIHono["openAPIRegistry"],
  { method, path, about, fields, gives, streams }: Route,
): void {
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
              "text/event-stream": {
                schema: z.string().describe("events, where the request says stream"),
              },
            },
          },
        },
      },
      default: {
        description: "What was wrong",
        content: { "application/json": { schema: errorBody } },
      },
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
