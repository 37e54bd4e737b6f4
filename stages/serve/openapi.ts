import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { errorBody } from "./api_error.ts";
import type { Route } from "./routes.ts";

/** Adds a route to what `/openapi.json` tells. */
export function describeRoute(
  registry: OpenAPIHono["openAPIRegistry"],
  { method, path, about, fields }: Route,
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
      200: { description: "Done" },
      default: {
        description: "What was wrong",
        content: { "application/json": { schema: errorBody } },
      },
    },
  });
}
