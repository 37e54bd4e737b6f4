import { strict as assert } from "node:assert";
import { arrivals, loadLines, type LoadOptions, runLoad, spreadOf } from "./serve.ts";
import { serveFake } from "../support/server_stub.ts";

const FEW = { rate: 50, requests: 12, prompt: 20, output: 8, seed: 1, vocabulary: 900 };

/** A server that knows no `ignore_eos` and tells no usage, at a free port. */
function startPlain(answer: (body: Record<string, unknown>, count: number) => Response) {
  let count = 0;
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const body = await request.json();
      return answer(body, ++count);
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  return { url, [Symbol.asyncDispose]: () => server.shutdown() };
}

function streamed(events: readonly string[]): Response {
  return new Response(events.map((event) => `data: ${event}\n\n`).join(""), {
    headers: { "content-type": "text/event-stream" },
  });
}

Deno.test("requests arrive as a Poisson process that the seed decides", () => {
  const times = arrivals({ rate: 4, requests: 20_001, seed: 7 });
  assert.equal(times[0], 0);
  const gaps = times.slice(1).map((at, index) => at - times[index]!);
  const mean = gaps.reduce((a, b) => a + b, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  // The gaps' mean is 1 / rate, and so is their deviation; a share exp(-1) is above it.
  assert.ok(Math.abs(mean * 4 - 1) < 0.03, `mean ${mean}`);
  assert.ok(Math.abs(Math.sqrt(variance) * 4 - 1) < 0.05, `deviation ${Math.sqrt(variance)}`);
  const above = gaps.filter((gap) => gap > 0.25).length / gaps.length;
  assert.ok(Math.abs(above - Math.exp(-1)) < 0.02, `${above} are above the mean`);
  assert.deepEqual(arrivals({ rate: 4, requests: 20_001, seed: 7 }), times);
  assert.notDeepEqual(arrivals({ rate: 4, requests: 20_001, seed: 8 }), times);
  assert.deepEqual(arrivals({ rate: 0, requests: 3, seed: 7 }), [0, 0, 0]);
});

Deno.test("percentiles are the smallest value that so many are not above", () => {
  const values = Array.from({ length: 200 }, (_, i) => 200 - i);
  assert.deepEqual(spreadOf(values), { mean: 100.5, p50: 100, p95: 190, p99: 198 });
  assert.deepEqual(spreadOf([3]), { mean: 3, p50: 3, p95: 3, p99: 3 });
});

Deno.test("a load counts every token of a server and times the first and those behind", async () => {
  await using served = await serveFake({ delay: 10 });
  const options: LoadOptions = { ...FEW, url: served.url };
  const result = await runLoad(options);
  assert.equal(result.model, "org/fake-1");
  assert.ok(result.ignoresEnd);
  assert.equal(result.answered, 12);
  assert.deepEqual(result.errors, {});
  assert.equal(result.generatedTokens, 12 * 8);
  // One request looks whether the server takes ignore_eos; none ended early.
  assert.equal(served.engine.asked.length, 13);
  assert.ok(served.engine.asked.every(({ prompt }) => prompt.length === 20));
  assert.ok(served.engine.asked.every(({ stopTokens }) => stopTokens.length === 0));
  assert.equal(new Set(served.engine.asked.map(({ prompt }) => prompt.join())).size, 13);
  // The fake waits 10 ms with the prompt and with each token.
  assert.ok(result.firstToken.p50 >= 0.019, `first ${result.firstToken.p50}`);
  // A busy machine may be late with the first piece, and the others follow it the sooner.
  const whole = result.firstToken.p50 + 7 * result.perToken.p50;
  assert.ok(whole >= 0.0885, `first and seven more ${whole}`);
  assert.ok(result.whole.p50 >= 0.085 && result.whole.p50 <= result.whole.p99);
  assert.match(loadLines(options, result).join("\n"), /answered 12 in .*; no errors/);
});

Deno.test("a load says how many requests a server refused, by status", async () => {
  await using served = await serveFake({ delay: 80, batch: 1, queue: 2 });
  const result = await runLoad({ ...FEW, url: served.url, rate: 0 });
  // One runs, two wait, and nine are too many.
  assert.equal(result.answered, 3);
  assert.deepEqual(result.errors, { 429: 9 });
  assert.equal(result.mostAtOnce, 12);
});

Deno.test("a load goes without ignore_eos, without usage and through errors in a stream", async () => {
  await using plain = startPlain((body, count) => {
    if ("ignore_eos" in body) return Response.json({ error: { message: "no" } }, { status: 400 });
    if (!body.stream) return Response.json({ choices: [{ text: "x" }] });
    const piece = (text: string, finish_reason: string | null = null) =>
      JSON.stringify({ choices: [{ text, finish_reason }] });
    if (count === 3) return streamed([piece("a"), '{"error":{"message":"lost"}}', "[DONE]"]);
    if (count === 4) return streamed([piece("a")]);
    return streamed([piece("a"), piece("b"), piece("c"), piece("", "length"), "[DONE]"]);
  });
  const result = await runLoad({ ...FEW, url: plain.url, model: "some" });
  assert.equal(result.ignoresEnd, false);
  assert.equal(result.answered, 10);
  assert.deepEqual(result.errors, { stream: 2 });
  assert.equal(result.generatedTokens, 30);
});

Deno.test("a load against a server that answers nothing says what it answers", async () => {
  await using plain = startPlain(() => Response.json({ error: "asleep" }, { status: 503 }));
  await assert.rejects(
    runLoad({ ...FEW, url: plain.url, model: "some" }),
    /^TypeError: Cannot send completions to http\S+: it answers 503 .*asleep.*, expected 200$/,
  );
});

Deno.test("a server that is not there is told in a sentence", async () => {
  // A port that was free a moment ago.
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  await assert.rejects(
    runLoad({ ...FEW, url: `http://127.0.0.1:${port}` }),
    /^TypeError: Cannot reach http:\/\/127\.0\.0\.1:\d+: .*, expected a server of OpenAI's API/,
  );
});
