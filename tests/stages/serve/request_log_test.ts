import { deepStrictEqual, match, ok } from "node:assert/strict";
import { type LogStyle, openLog } from "../../../stages/serve/request_log.ts";
import { serveFake } from "../../support/server_stub.ts";

/** What the log has of some requests. */
async function logOf(style: LogStyle): Promise<string[]> {
  const lines: string[] = [];
  await using _log = await openLog((line) => lines.push(line), style);
  await using served = await serveFake({ says: "one two three" });
  for (const path of ["/health", "/metrics", "/status", "/ready", "/v1/models"]) {
    await (await served.get(path)).text();
  }
  const chat = { messages: [{ role: "user", content: "A secret" }], max_tokens: 20 };
  await (await served.post("/v1/chat/completions", chat)).text();
  await (await served.post("/v1/completions", "{")).text();
  await (await served.get("/no%0awhere%1b[2J")).text();
  return lines;
}

Deno.test("people read a line a request in words, and none of polls", async () => {
  const lines = await logOf({ people: true });
  const requests = lines.filter((line) => /(GET|POST) /.test(line));
  const expected = [
    /^\d\d:\d\d:\d\d GET \/v1\/models 200 in 0\.\d s\n$/,
    /^\S+ POST \/v1\/chat\/completions 200 in \d\.\d s, \d+ \+ \d+ tokens, stop\n$/,
    /^\S+ POST \/v1\/completions 400 in /,
    /^\S+ GET \/no where \[2J 404 in /,
  ];
  deepStrictEqual(requests.length, expected.length, requests.join(""));
  expected.forEach((pattern, at) => match(requests[at]!, pattern));
  for (const line of lines) {
    // deno-lint-ignore no-control-regex -- control characters are what must not be there
    ok(/^[^\x00-\x1f\x7f]*\n$/.test(line), JSON.stringify(line));
    ok(!line.includes("secret") && !line.startsWith("{"), line);
  }
});

Deno.test("the level decides what is told: polls too, or only what went wrong", async () => {
  const all = await logOf({ people: true, level: "debug" });
  for (const path of ["/health", "/metrics", "/status", "/ready"]) {
    ok(all.some((line) => line.includes(`GET ${path} 200`)), path);
  }
  deepStrictEqual(await logOf({ people: true, level: "warn" }), []);
});

Deno.test("in a pipe a line is JSON, and polls are left out as well", async () => {
  const entries = (await logOf({})).map((line) => JSON.parse(line));
  const paths = entries.flatMap(({ properties }) => properties.path ?? []);
  ok(paths.includes("/v1/chat/completions") && !paths.includes("/health"), String(paths));
});
