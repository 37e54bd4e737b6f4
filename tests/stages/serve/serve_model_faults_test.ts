import { strict as assert } from "node:assert";
import { setTimeout as sleep } from "node:timers/promises";
import { type EngineError, GREEDY } from "../../../stages/engine/engine.ts";
import { WorkerEngine } from "../../../stages/engine/worker_engine.ts";
import { EMBEDDED } from "../../../stages/models/checkpoint_place.ts";
import { eventsOf } from "../../support/server_stub.ts";
import { type ServedModel, serveModel } from "../../support/model_server.ts";
import { until } from "../../support/wait.ts";

/** Two run, the others wait. */
const WISHES = { context: 2000, sequences: 2, stepTokens: 64, queueRequests: 8 };
const PROMPT = "Once upon a time there was a cat";
const LONG = { prompt: PROMPT, max_tokens: 1900, ignore_eos: true, temperature: 0 };
const FAILED = { type: "server_error", param: null, code: "engine_failed" };

/** An answer that does not depend on chance. */
async function ask({ post }: ServedModel): Promise<unknown> {
  const response = await post("/v1/completions", {
    ...{ prompt: PROMPT, max_tokens: 20, ignore_eos: true, temperature: 0, logprobs: 1 },
  });
  const { choices, usage, error } = await response.json();
  assert.equal(response.status, 200, error?.message);
  const { prompt_tokens_details: _, ...counts } = usage;
  return { choices, counts };
}

/** Status and error of an answer, whose message is left out. */
async function errorOf(response: Response) {
  const { error: { message, ...error } } = await response.json();
  assert.match(message, /^Cannot .*[^.]$/);
  return { status: response.status, error };
}

/** Asserts that a stream ended with an error, told once and last, and with no reason of an answer. */
async function assertCutOff(response: Response): Promise<number> {
  assert.equal(response.status, 200);
  // It fails where `[DONE]` is not the last.
  const events = await eventsOf(response);
  const { message, ...error } = events.at(-1)!["error"] as Record<string, unknown>;
  assert.deepEqual(error, FAILED);
  assert.match(String(message), /^Cannot finish the request: the engine was lost \(.+\)$/);
  const chunks = events.slice(0, -1) as { choices: { finish_reason: unknown }[] }[];
  for (const { choices: [choice] } of chunks) assert.equal(choice!.finish_reason, null);
  return chunks.length;
}

/** Everything that `/metrics` says, by kind and name. */
async function figures({ get }: ServedModel) {
  const counters = new Map<string, number>();
  const gauges = new Map<string, number>();
  let kind = "";
  for (const line of (await (await get("/metrics")).text()).split("\n")) {
    const [, type] = /^# TYPE \S+ (\w+)$/.exec(line) ?? [];
    kind = type ?? kind;
    const [, name, value] = /^([^#]\S*) (\S+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    (kind === "gauge" ? gauges : counters).set(name, Number(value));
  }
  return { counters, gauges };
}

/** Asserts that nothing is held, by every gauge but those of sizes. */
function assertAtRest(gauges: ReadonlyMap<string, number>): void {
  const busy = [...gauges].filter(([name, value]) =>
    value !== 0 && !/^quattuor_pages(_cached)?\{|cache_config_info/.test(name)
  );
  assert.deepEqual(busy, []);
  assert.ok(gauges.size >= 9, `${gauges.size} gauges`);
}

for (
  const [how, disturb] of [
    ["its worker is killed", (engine: WorkerEngine) => engine.crash()],
    ["its device is lost", (engine: WorkerEngine) => engine.loseDevice()],
  ] as const
) {
  Deno.test(`a server tells everybody of an error when ${how}, and then answers as before`, async () => {
    await using served = await serveModel({ wishes: WISHES });
    const { engine, post, get } = served;
    const before = await ask(served);
    const running = [post("/v1/completions", { ...LONG, stream: true })];
    await until(() => engine.stats().running === 1);
    const { generatedTokens: untilNow } = engine.stats();
    running.push(post("/v1/completions", LONG));
    await until(() => engine.stats().running === 2);
    const waiting = [true, false].map((stream) => post("/v1/completions", { ...LONG, stream }));
    await until(() => engine.stats().waiting === 2);
    // The stream that waits has begun, since it is a second old; the youngest may get a status yet.
    await sleep(1050);
    const youngest = post("/v1/completions", { ...LONG, stream: true });
    await until(() => engine.stats().waiting === 3);
    // Of two that run.
    await until(() => engine.stats().generatedTokens > untilNow + 30);
    const { counters: then } = await figures(served);
    disturb(engine);
    await until(() => engine.state === "loading");

    const states = await Promise.all([
      get("/health"),
      get("/ready"),
      post("/v1/completions", LONG),
      post("/v1/completions", { ...LONG, stream: true }),
    ]);
    for (const response of states) {
      assert.match(response.headers.get("retry-after")!, /^\d+$/);
      assert.deepEqual(await errorOf(response), {
        status: 503,
        error: { type: "service_unavailable_error", param: null, code: "unavailable" },
      });
    }
    assertAtRest((await figures(served)).gauges);
    assert.ok(await assertCutOff(await running[0]!) > 10);
    assert.equal(await assertCutOff(await waiting[0]!), 0);
    const failed = [await running[1]!, await waiting[1]!];
    if ((await youngest).status === 200) assert.equal(await assertCutOff(await youngest), 0);
    else failed.push(await youngest);
    for (const response of failed) {
      assert.deepEqual(await errorOf(response), { status: 500, error: FAILED });
    }

    await until(() => engine.state === "ready");
    for (const path of ["/health", "/ready"]) {
      assert.deepEqual(await (await get(path)).json(), { status: "ok" });
    }
    assert.deepEqual(await ask(served), before);
    await until(() => engine.stats().pages.used === 0);
    const { counters: now, gauges } = await figures(served);
    assertAtRest(gauges);
    for (const [name, value] of then) {
      assert.ok(now.get(name)! >= value, `${name} went from ${value} to ${now.get(name)}`);
    }
    const labels = `{model_name="org/fake-1",engine="0"`;
    assert.equal(now.get(`quattuor_requests_total${labels},finished_reason="error"}`), 5);
    // Both answers and what was said in between.
    assert.ok(now.get(`quattuor_generated_tokens_total${labels}}`)! >= 40 + 10);
  });
}

Deno.test("a server that stops ends although its worker is killed meanwhile", async () => {
  await using served = await serveModel({ wishes: WISHES, options: { drain: 60 } });
  const { engine, server, post } = served;
  const stream = await post("/v1/completions", { ...LONG, stream: true });
  const plain = post("/v1/completions", LONG);
  await until(() => engine.stats().running === 2);
  const stopped = server.stop();
  const drained = engine.drain();
  await sleep(50);
  engine.crash();
  engine.crash();
  assert.deepEqual(await errorOf(await plain), { status: 500, error: FAILED });
  await assertCutOff(stream);
  const start = performance.now();
  await Promise.all([stopped, drained, server.finished]);
  // It would have waited a minute for those under way.
  assert.ok(performance.now() - start < 30_000);
  assert.equal(engine.stats().running, 0);
});

Deno.test("an engine whose model is gone for a while is tried again until it is there", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const [there, gone] = [`${directory}/model`, `${directory}/elsewhere`];
    await Deno.mkdir(there);
    for await (const { name, isFile } of Deno.readDir(EMBEDDED)) {
      if (isFile) await Deno.copyFile(`${EMBEDDED}/${name}`, `${there}/${name}`);
    }
    const told: string[] = [];
    const notes = { failed: (why: string, again: boolean) => void told.push(`${why} ${again}`) };
    await using served = await serveModel({ path: there, wishes: WISHES, notes });
    const before = await ask(served);
    await Deno.rename(there, gone);
    served.engine.crash();
    served.engine.crash();
    await until(() => told.length === 2);
    assert.doesNotMatch(told[1]!, /the worker was ended/);
    assert.ok(told.every((text) => text.endsWith(" true")), told.join());
    const health = await served.get("/health");
    assert.equal((await errorOf(health)).status, 503);
    await Deno.rename(gone, there);
    await until(() => served.engine.state === "ready");
    assert.deepEqual(await ask(served), before);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a full queue is told of at once, however busy the worker is", async () => {
  await using engine = new WorkerEngine({
    ...{ path: EMBEDDED, memoryBytes: 1e9 },
    wishes: { ...WISHES, sequences: 1, queueRequests: 1 },
  });
  await engine.started;
  const request = { prompt: [1, 5, 17], maxTokens: 1, stopTokens: [], sampling: GREEDY };
  const answers = [1, 2, 3].map(() => engine.generate(request));
  let why = "";
  const begun = answers.map((answer) =>
    answer.next().catch((error: EngineError) => void (why = error.why))
  );
  // Nothing the worker says is heard before this turn of the loop is over.
  for (let i = 0; i < 20; i++) await Promise.resolve();
  assert.equal(why, "full");
  await Promise.all(begun);
  for (const answer of answers.slice(0, 2)) {
    assert.equal((await Array.fromAsync(answer)).at(-1)?.type, "end");
  }
});
