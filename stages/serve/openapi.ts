import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Route } from "./routes.ts";

const errorBody = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

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
