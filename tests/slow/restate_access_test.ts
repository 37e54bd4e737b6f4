// Slow: starts a Restate server and a worker.
import { match, notStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { openServerAccess, readAccess } from "../../pipeline/run/restate/access.ts";
import { serverProgram } from "../../pipeline/run/restate/server.ts";
import { Fleet } from "../support/restate_fleet.ts";

/** Why Restate's server cannot run here, if it cannot. */
const missing = await serverProgram().then(() => undefined, (error: Error) => error.message);
const skipped = missing === undefined ? "" : ` (skipped: ${missing})`;

/** The status of an answer, which allows no page of a browser to read it. */
async function statusOf(url: string, init: RequestInit = {}): Promise<number> {
  const answer = await fetch(url, init);
  await answer.body?.cancel();
  const names = [...answer.headers.keys()];
  ok(!names.some((name) => name.startsWith("access-control-")), `${url} says ${names}`);
  return answer.status;
}

Deno.test({
  name: `nobody orders without the store, and nothing else is open${skipped}`,
  ignore: missing !== undefined,
  async fn() {
    await using fleet = await Fleet.start({ workers: 1 });
    const { token } = await readAccess(fleet.path("store"));
    const list = `${fleet.url}/workers/all/list`;
    const page = {
      origin: "http://evil.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization",
    };
    strictEqual(await statusOf(list, { method: "OPTIONS", headers: page }), 401);
    for (const authorization of ["", "Bearer", `Bearer ${token}x`, `Basic ${token}`]) {
      const headers = { ...page, authorization };
      strictEqual(await statusOf(list, { method: "POST", headers }), 401, authorization);
    }
    const headers = { ...page, authorization: `Bearer ${token}` };
    strictEqual(await statusOf(list, { method: "POST", headers }), 200);
    strictEqual(await statusOf(list, { method: "OPTIONS", headers }), 200);

    // The objects beside the server and the worker take calls that it has signed, and no others.
    const [worker] = fleet.heard().flatMap(({ type, uri }) => type === "joined" ? [uri] : []);
    const signed = {
      ...headers,
      "x-restate-signature-scheme": "v1",
      "x-restate-jwt-v1": "e30.e30.e30",
    };
    for (const uri of [worker, `http://127.0.0.1:${fleet.port + 1}`]) {
      for (const path of ["discover", "invoke/artifact/make"]) {
        for (const given of [headers, signed]) {
          const method = path === "discover" ? "GET" : "POST";
          strictEqual(await statusOf(`${uri}/${path}`, { method, headers: given }), 401, path);
        }
      }
    }

    // Where it is told what to do and where its nodes would meet are sockets, which only the owner enters.
    for (const port of [fleet.port + 2, fleet.port + 3]) {
      await rejects(Deno.connect({ hostname: "127.0.0.1", port }), Deno.errors.ConnectionRefused);
    }
    const mode = async (name: string) =>
      (await Deno.stat(fleet.path(`store/restate${name}`))).mode! & 0o777;
    strictEqual(await mode(""), 0o700);
    for (const name of ["/access.json", "/identity.pem"]) strictEqual(await mode(name), 0o600);

    await fleet.manifest("steps:\n  a: { stage: count, with: { parts: 2 } }\n");
    const other = await fleet.run({ args: ["--store", fleet.path("other")] });
    notStrictEqual(other.code, 0);
    match(other.errors, /there is no .*access\.json, expected the store at which/);
    strictEqual((await fleet.run()).code, 0);
    for (const { out, errors } of fleet.workers) ok(!(out() + errors()).includes(token));
  },
});

Deno.test("a store's server keeps its key and token, and they are two stores' two", async () => {
  const [one, two] = await Promise.all([Deno.makeTempDir(), Deno.makeTempDir()]);
  try {
    const [first, again, other] = [
      await openServerAccess(one),
      await openServerAccess(one),
      await openServerAccess(two),
    ];
    strictEqual(first.token, again.token);
    strictEqual(first.identity, again.identity);
    notStrictEqual(first.token, other.token);
    notStrictEqual(first.identity, other.identity);
    await Deno.remove(again.keyFile);
    notStrictEqual((await openServerAccess(one)).identity, first.identity);
    await Deno.writeTextFile(`${two}/restate/access.json`, "{}");
    await rejects(readAccess(two), /^Error: Cannot read .*access\.json: it is not as/);
  } finally {
    for (const directory of [one, two]) await Deno.remove(directory, { recursive: true });
  }
});
