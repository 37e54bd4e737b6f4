import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { ROUTES } from "../../../stages/serve/routes.ts";
import { serveFake } from "../../support/server_stub.ts";

const KEY = { headers: { authorization: "Bearer right" } };

for (const { method, path, about, fields, access } of ROUTES) {
  Deno.test(`${method} ${path} is described, guarded and counted`, async () => {
    await using served = await serveFake({ options: { apiKey: "right" } });
    const { paths } = await (await served.get("/openapi.json", KEY)).json();
    const described = paths[path][method.toLowerCase()];
    strictEqual(described.summary, about);
    const body = described.requestBody?.content["application/json"].schema.properties;
    deepStrictEqual(Object.keys(body ?? {}), Object.keys(fields?.shape ?? {}));
    const response = await fetch(`${served.url}${path.replace("{id}", "any")}`, { method });
    await response.body?.cancel();
    const slash = await fetch(`${served.url}${path.replace("{id}", "any")}/`, { method });
    await slash.body?.cancel();
    strictEqual(slash.status, response.status, "a slash behind it changes the answer");
    strictEqual(response.status === 401, access === "key", `it answers ${response.status}`);
    const figures = await (await served.get("/metrics", KEY)).text();
    const counted = `quattuor_http_requests_total{route="${path}",status="${response.status}"} 2\n`;
    ok(figures.includes(counted), counted);
  });
}

Deno.test("what requests must have and how they are refused is told", async () => {
  await using served = await serveFake();
  const { paths } = await (await served.get("/openapi.json")).json();
  const post = (path: string) => paths[path].post;
  const body = (path: string) => post(path).requestBody.content["application/json"].schema;
  for (const [path, field] of [["completions", "prompt"], ["embeddings", "input"]]) {
    const { required, properties } = body(`/v1/${path}`);
    deepStrictEqual(required, [field]);
    strictEqual(properties[field!].anyOf.length, 4);
    const { error } = await (await served.post(`/v1/${path}`, {})).json();
    ok(error.message.endsWith(`there is none, expected ${properties[field!].description}`));
  }
  deepStrictEqual(body("/detokenize").required, ["tokens"]);
  const { responses } = post("/v1/messages");
  deepStrictEqual(
    Object.keys(responses),
    ["200", "400", "401", "403", "404", "408", "413", "415", "429", "500", "503"],
  );
  deepStrictEqual(responses["200"].content["text/event-stream"].schema.required, ["data"]);
  const error = responses["400"].content["application/json"].schema;
  deepStrictEqual(error.required, ["error", "type"]);
});

/** A request for each route that has a body. */
const BODIES: Readonly<Record<string, object>> = {
  "/v1/completions": { prompt: "a", max_tokens: 2, logprobs: 1 },
  "/v1/chat/completions": {
    messages: [{ role: "user", content: "a" }],
    logprobs: true,
    top_logprobs: 1,
  },
  "/v1/embeddings": { input: ["a", "b c"] },
  "/v1/responses": { input: "a" },
  "/v1/messages": { messages: [{ role: "user", content: "a" }], max_tokens: 4 },
  "/v1/messages/count_tokens": { messages: [{ role: "user", content: "a" }] },
  "/tokenize": { prompt: "a", return_token_strs: true },
  "/detokenize": { tokens: [20, 21] },
};

for (const { method, path, gives, fields } of ROUTES) {
  if (!gives) continue;
  Deno.test(`${method} ${path} answers by its schema, which is told`, async () => {
    await using served = await serveFake({ says: "a b" });
    const { paths } = await (await served.get("/openapi.json")).json();
    const { schema } =
      paths[path][method.toLowerCase()].responses["200"].content["application/json"];
    ok(schema.properties);
    const at = path.replace("{id}", "org/fake-1");
    strictEqual(fields !== undefined, path in BODIES);
    const response = fields ? await served.post(at, BODIES[path]) : await served.get(at);
    const answer = await response.json();
    strictEqual(response.status, 200, JSON.stringify(answer));
    const read = gives.safeParse(answer);
    ok(read.success, JSON.stringify(read.error?.issues));
  });
}
