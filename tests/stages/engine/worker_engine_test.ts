import { strict as assert } from "node:assert";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  EngineError,
  type GenerationEvent,
  type GenerationRequest,
  GREEDY,
} from "../../../stages/engine/engine.ts";
import { WorkerEngine } from "../../../stages/engine/worker_engine.ts";
import { until } from "../../support/wait.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));
const WISHES = { context: 2000, sequences: 4, stepTokens: 64, queueRequests: 3 };

function ask(maxTokens: number, more: Partial<GenerationRequest> = {}): GenerationRequest {
  return {
    prompt: [1, 5, 17, 80, 33, 2],
    maxTokens,
    stopTokens: [],
    sampling: GREEDY,
    ...more,
  };
}

async function open(): Promise<WorkerEngine> {
  const engine = new WorkerEngine({ path: EMBEDDED, memoryBytes: 1e9, wishes: WISHES });
  await engine.started;
  return engine;
}

async function failure(events: AsyncIterable<GenerationEvent>): Promise<EngineError> {
  try {
    await Array.fromAsync(events);
  } catch (error) {
    assert.ok(error instanceof EngineError);
    return error;
  }
  throw new Error("it did not fail");
}

Deno.test("an engine in a worker answers several requests at once, each in order", async () => {
  await using engine = await open();
  const answers = await Promise.all(
    [3, 20, 7].map((count) => Array.fromAsync(engine.generate(ask(count)))),
  );
  for (const [i, count] of [3, 20, 7].entries()) {
    const [first, ...rest] = answers[i]!;
    assert.equal(first!.type, "prompt");
    assert.deepEqual(rest.at(-1), { type: "end", reason: "length" });
    assert.equal(rest.length, count + 1);
  }
  // Greedy answers to one prompt begin alike.
  assert.deepEqual(answers[1]!.slice(1, 4), answers[0]!.slice(1, 4));
  await until(() => engine.stats().pages.used === 0);
  assert.equal(engine.stats().generatedTokens, 30);
});

Deno.test("a request that is aborted, or left, frees its pages at the next step", async () => {
  await using engine = await open();
  const controller = new AbortController();
  const gone = (async () => {
    for await (const { type } of engine.generate(ask(240), controller.signal)) {
      if (type === "token") controller.abort(new Error("the client went away"));
    }
  })();
  await assert.rejects(gone, /the client went away/);
  for await (const { type } of engine.generate(ask(240))) if (type === "token") break;
  await until(() => engine.stats().running === 0 && engine.stats().pages.used === 0);
  // Neither was answered to its end.
  assert.ok(engine.stats().generatedTokens < 2 * 240);
});

Deno.test("an engine says why it does not take a request: too long, or its queue is full", async () => {
  await using engine = await open();
  const long = await failure(engine.generate(ask(1, { prompt: Array(3000).fill(1) })));
  assert.equal(long.why, "too_long");
  const controller = new AbortController();
  const start = () => failure(engine.generate(ask(1900), controller.signal)).catch(() => {});
  const many: Promise<unknown>[] = [];
  for (let running = 1; running <= 4; running++) {
    many.push(start());
    await until(() => engine.stats().running === running);
  }
  for (let waiting = 1; waiting <= 3; waiting++) {
    many.push(start());
    await until(() => engine.stats().waiting === waiting);
  }
  const full = await failure(engine.generate(ask(1)));
  assert.equal(full.why, "full");
  controller.abort();
  await Promise.all(many);
  await until(() => engine.stats().running + engine.stats().waiting === 0);
});

for (
  const [how, disturb] of [
    ["its worker ends", (engine: WorkerEngine) => engine.crash()],
    ["its device is lost", (engine: WorkerEngine) => engine.loseDevice()],
  ] as const
) {
  Deno.test(`an engine ends requests with an error when ${how}, and is there again`, async () => {
    await using engine = await open();
    const before = await Array.fromAsync(engine.generate(ask(5)));
    const cut = (async () => {
      let tokens = 0;
      for await (const { type } of engine.generate(ask(240))) {
        if (type === "token" && ++tokens === 3) disturb(engine);
      }
    })();
    await assert.rejects(cut, (error: EngineError) => error.why === "failed");
    const refused = await failure(engine.generate(ask(1)));
    assert.equal(refused.why, "unavailable");
    await until(() => engine.state === "ready");
    const after = await Array.fromAsync(engine.generate(ask(5)));
    // Times differ, which the first event tells of.
    assert.deepEqual(after.slice(1), before.slice(1));
    assert.ok(engine.stats().generatedTokens >= 13);
  });
}

Deno.test("an engine drains: it finishes what it has and takes no more", async () => {
  await using engine = await open();
  const answer = Array.fromAsync(engine.generate(ask(30)));
  await sleep(50);
  const drained = engine.drain();
  assert.equal((await failure(engine.generate(ask(1)))).why, "unavailable");
  assert.equal((await answer).at(-1)!.type, "end");
  await drained;
});

Deno.test("an engine that cannot hold its model says so with numbers", async () => {
  await using engine = new WorkerEngine({ path: EMBEDDED, memoryBytes: 2e6, wishes: {} });
  await assert.rejects(
    engine.started,
    /^EngineError: Cannot serve the model in 2 MB: its weights take/,
  );
  assert.equal(engine.state, "failed");
});

Deno.test("a worker that does not close its device is given up, with a word", async () => {
  const usual = globalThis.Worker;
  let ended = false;
  globalThis.Worker = class {
    onmessage = null;
    onerror = null;
    postMessage() {}
    terminate() {
      ended = true;
    }
  } as unknown as typeof Worker;
  const told: string[] = [];
  try {
    const engine = new WorkerEngine(
      { path: EMBEDDED, memoryBytes: 1e9, wishes: WISHES },
      { hung: (message) => told.push(message) },
      { closing: 50 },
    );
    await engine[Symbol.asyncDispose]();
  } finally {
    globalThis.Worker = usual;
  }
  assert.deepEqual(told, ["The engine has not closed its device in 0.05 s: it is ended as it is"]);
  assert.ok(ended);
});
