import { strict as assert } from "node:assert";
import { askedKinds, REPEATING } from "./asked_kinds.ts";
import { clientLines, timeClients } from "./client_load.ts";
import { serveFake } from "../support/server_stub.ts";

const SIZES = { prompt: 12, output: 6, requests: 4, rounds: 2, vocabulary: 900 };

Deno.test("clients ask again once they are answered, at all servers the same", async () => {
  await using first = await serveFake({ delay: 5 });
  await using second = await serveFake({ delay: 20 });
  const servers = [{ name: "a", url: first.url }, { name: "b", url: second.url }];
  const rows = await timeClients(servers, { ...SIZES, clients: [1, 3] });
  assert.deepEqual(rows.map(({ clients, name }) => [clients, name]), [[1, "a"], [1, "b"], [
    3,
    "a",
  ], [3, "b"]]);
  for (const { clients, result } of rows) {
    // Two rounds of four requests, or of two a client.
    assert.equal(result.answered, clients === 1 ? 8 : 12);
    assert.deepEqual(result.errors, {});
    assert.equal(result.mostAtOnce, clients);
    assert.equal(result.generatedTokens, 6 * result.answered);
    assert.equal(result.promptTokens, 12 * result.answered);
  }
  const [a, b] = [first, second].map(({ engine }) => engine.asked.map(({ prompt }) => prompt));
  assert.deepEqual(a!.toSorted(), b!.toSorted());
  // Every load asks once whether the server goes on behind the end, with one prompt.
  const timed = a!.filter(({ length }) => length === 12).map(String);
  assert.equal(new Set(timed).size, timed.length);
  const [one, other] = rows.map(({ result }) => result.tokensPerSecond);
  const ratio = (other! / one!).toFixed(2);
  assert.match(
    clientLines(rows)[3]!,
    new RegExp(String.raw`^\| 1 \| b \| 12 \+ 6 \| ${other!.toFixed(1)} \| ${ratio} \|`),
  );
});

Deno.test("what clients ask for is taken, and answers are as long as asked for", async () => {
  const template = "{{ tools | length if tools else 0 }}{% for m in messages %}{{ m.content }}" +
    "{% endfor %}";
  await using served = await serveFake({ template });
  const kinds = [...askedKinds(), { name: "repeating", asked: REPEATING }];
  const rows = await timeClients(
    kinds.map((kind) => ({ ...kind, url: served.url })),
    { ...SIZES, clients: [2], rounds: 1 },
  );
  for (const { name, result } of rows) {
    assert.equal(result.answered, 4, name);
    assert.deepEqual(result.errors, {}, name);
    assert.equal(result.generatedTokens, 4 * 6, name);
  }
  const asked = served.engine.asked.filter(({ maxTokens }) => maxTokens === 6);
  const held = asked.filter(({ grammar }) => grammar !== undefined).length;
  // Of five kinds, two with a grammar: a schema, and a call that is required.
  assert.equal(held / asked.length, 2 / 5);
});

Deno.test("what is not answered stands in the table", async () => {
  await using served = await serveFake({ delay: 50, batch: 1, queue: 0 });
  const rows = await timeClients(
    [{ name: "small", url: served.url }],
    { ...SIZES, clients: [3], rounds: 1 },
  );
  const [{ result }] = rows as [typeof rows[0]];
  assert.ok(result.errors[429]! > 0 && result.answered > 0);
  assert.match(clientLines(rows).at(-1)!, /\| \d × 429 \|$/);
});
