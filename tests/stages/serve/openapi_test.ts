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
    strictEqual(response.status === 401, access === "key", `it answers ${response.status}`);
    const figures = await (await served.get("/metrics", KEY)).text();
    const counted = `quattuor_http_requests_total{route="${path}",status="${response.status}"} 1\n`;
    ok(figures.includes(counted), counted);
  });
}
