import { deepStrictEqual, match, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { main } from "../../../../pipeline/cli/main.ts";
import { DigestMemo } from "../../../../pipeline/store/digests.ts";
import { inProcess, type Order } from "../../../../pipeline/run/executor.ts";
import { keyOf } from "../../../../pipeline/store/key.ts";
import { acceptOrder, parseOrder } from "../../../../pipeline/run/restate/incoming_order.ts";
import {
  OrderEventReader,
  OrderEventWriter,
  wasBegun,
} from "../../../../pipeline/run/restate/order_events.ts";
import { eventsPath } from "../../../../pipeline/run/restate/order_events.ts";
import {
  EMPTY,
  giveBack,
  join,
  leave,
  type Seat,
  type SeatPool,
  take,
} from "../../../../pipeline/run/restate/pool.ts";
import type { WireOrder } from "../../../../pipeline/run/restate/wire.ts";
import { Workbench } from "../../../../pipeline/run/restate/workbench.ts";
import { Store } from "../../../../pipeline/store/store.ts";
import * as stages from "../../../support/toy/stages.ts";

const ROOT = new URL("../../../..", import.meta.url).pathname;

function seat(name: string): Seat {
  return { name, uri: `http://127.0.0.1/${name}`, host: "here", pid: 1, deployment: `at ${name}` };
}

function poolOf(...names: readonly string[]): SeatPool {
  return names.reduce((pool, name) => join(pool, seat(name)).pool, EMPTY);
}

async function withDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a pool gives the worker it heard of last to the order that waits longest", () => {
  const first = take(poolOf("a", "b"), "one");
  deepStrictEqual(first.given, [{ ticket: "one", worker: "b" }]);
  const second = take(take(first.pool, "two").pool, "three");
  deepStrictEqual(second.given, []);
  deepStrictEqual(second.pool.waiting, ["three"]);
  const fourth = take(second.pool, "four").pool;
  deepStrictEqual(giveBack(fourth, { ticket: "one", lost: false }).given, [
    { ticket: "three", worker: "b" },
  ]);
  deepStrictEqual(join(fourth, seat("c")).given, [{ ticket: "three", worker: "c" }]);
});

Deno.test("a pool forgets lost workers, workers that leave and orders that wait no more", () => {
  const busy = take(poolOf("a"), "one").pool;
  const lost = giveBack(busy, { ticket: "one", lost: true });
  deepStrictEqual([lost.pool, lost.gone.map(({ name }) => name)], [EMPTY, ["a"]]);
  const leaving = leave(busy, "a");
  deepStrictEqual(leaving.gone, []);
  const over = giveBack(leaving.pool, { ticket: "one", lost: false });
  deepStrictEqual([over.pool, over.gone.map(({ name }) => name)], [EMPTY, ["a"]]);
  const idle = leave(poolOf("a", "b"), "a");
  deepStrictEqual([idle.pool, idle.gone.map(({ name }) => name)], [poolOf("b"), ["a"]]);
  const waiting = take(busy, "two").pool;
  const given = giveBack(waiting, { ticket: "two", lost: false });
  deepStrictEqual([given.pool, given.given], [busy, []]);
});

Deno.test("a workbench takes one order at a time, and one that comes back finds its work", async () => {
  const bench = new Workbench<string>();
  const events: string[] = [];
  const work = (name: string) => async () => {
    events.push(`${name} begins`);
    await sleep(20);
    events.push(`${name} ends`);
    return name;
  };
  const one = bench.take("1", work("one"));
  const two = bench.take("2", work("two"));
  const again = bench.take("1", work("another"));
  deepStrictEqual(await Promise.all([one, two, again].map(({ result }) => result)), [
    "one",
    "two",
    "one",
  ]);
  deepStrictEqual(events, ["one begins", "one ends", "two begins", "two ends"]);
  one.letGo();
  strictEqual(await bench.take("1", work("another")).result, "one", "somebody still holds it");
  again.letGo();
});

Deno.test("a workbench stops work that nobody comes back for, and begins it anew", async () => {
  const bench = new Workbench<string>({ grace: 30 });
  const long = (name: string) => async (signal: AbortSignal) => {
    for (let i = 0; i < 20; i++) {
      await sleep(10);
      signal.throwIfAborted();
    }
    return name;
  };
  const kept = bench.take("1", long("kept"));
  kept.letGo();
  await sleep(10);
  strictEqual(await bench.take("1", long("another")).result, "kept");
  const left = bench.take("2", long("left"));
  left.letGo();
  await rejects(left.result, /nobody waits for it$/);
  const stopped = bench.take("3", long("stopped"));
  stopped.stop(new Error("enough"));
  const next = bench.take("3", long("next"));
  await rejects(stopped.result, /^Error: enough$/);
  strictEqual(await next.result, "next");
});

Deno.test("events of an order arrive once, after half a line of a worker that died too", () =>
  withDirectory(async (store) => {
    const id = crypto.randomUUID();
    await using reader = await OrderEventReader.open(store, id);
    const path = eventsPath(store, id);
    const note = { type: "note", step: "a", text: "hello", replayed: false } as const;
    const by = { ...note, data: { worker: "worker_1" } };
    {
      await using writer = new OrderEventWriter(path);
      writer.tell(note);
      for (const done of [1, 2]) writer.tell({ type: "progress", step: "a", done, total: 2 });
    }
    const progress = { type: "progress", step: "a", done: 2, total: 2 };
    deepStrictEqual(await reader.read(), [note, progress]);
    strictEqual(await wasBegun(path), false);
    await Deno.writeTextFile(path, '{"type":"no', { append: true });
    deepStrictEqual(await reader.read(), []);
    {
      await using writer = new OrderEventWriter(path);
      writer.tell(by);
    }
    deepStrictEqual(await reader.read(), [by]);
    strictEqual(await wasBegun(path), true);
  }));

/** A store with the number 3 in it, and an order to add 4 to it. */
async function ordered(directory: string) {
  const store = new Store(directory);
  const files = new DigestMemo(directory);
  const workshop = { store, stages, files, tools: () => Promise.resolve({}) };
  const recipe = { stage: "constant", version: 1, params: { value: 3 }, inputs: {} };
  const first: Order = {
    step: "three",
    stage: "constant",
    params: { value: 3 },
    recipe,
    inputs: {},
    again: false,
  };
  const use = { emit: () => {}, signal: new AbortController().signal };
  const { artifact } = await inProcess(workshop).make(first, use);
  const params = { by: 4, parts: 1, pause: 0 };
  const adding = { stage: "add", version: 1, params, inputs: { a: artifact.digest } };
  const wire: WireOrder = {
    id: crypto.randomUUID(),
    key: keyOf(adding),
    step: "seven",
    stage: "add",
    params,
    recipe: adding,
    inputs: { a: artifact.key },
    again: false,
  };
  return { workshop, artifact, wire };
}

Deno.test("a worker takes an order as it stands, with its own path to the store", () =>
  withDirectory(async (directory) => {
    const { workshop, artifact, wire } = await ordered(directory);
    const said = JSON.parse(JSON.stringify({ ...wire, params: { ...wire.params as object } }));
    const { inputs, params, recipe } = await acceptOrder(parseOrder(said), workshop);
    deepStrictEqual(inputs, { a: artifact });
    deepStrictEqual([params, recipe], [wire.params, wire.recipe]);
    match(artifact.path, new RegExp(`^${directory}`));
  }));

Deno.test("a worker refuses an order that is not what its own program and store say", () =>
  withDirectory(async (directory) => {
    const { workshop, artifact, wire } = await ordered(directory);
    const { recipe } = wire;
    const wrong: [change: Partial<WireOrder>, why: RegExp][] = [
      [{ stage: "subtract" }, /its stage is subtract, expected a stage of this worker/],
      [{ stage: "toString" }, /its stage is toString, expected a stage of this worker/],
      [{ recipe: { ...recipe, version: 2 } }, /its version is 2, expected 1/],
      [{ params: { by: "4" } }, /its params\.by is .*, expected valid params/],
      [{ params: { by: 5 } }, /its params is .*"by":4.*, expected .*"by":5/],
      [{ key: "0".repeat(64) }, /its key is 0{64}, expected [0-9a-f]{64}/],
      [{ inputs: {} }, /its a is nothing, expected a key/],
      [{ inputs: { a: [artifact.key] } }, /its a is \["[0-9a-f]{64}"\], expected a key/],
      [{ inputs: { a: "f".repeat(64) } }, /its a is f{12} is absent in .*, expected the store of/],
      [{ inputs: { a: artifact.key, c: artifact.key } }, /its input is c, expected one of/],
      [{ inputs: { a: artifact.key, b: artifact.key } }, /its inputs is \{"a":"[0-9a-f]{64}"\}/],
      [{ recipe: { ...recipe, fingerprint: "x" } }, /its fingerprint is "x", expected nothing/],
    ];
    for (const [change, why] of wrong) {
      await rejects(acceptOrder(parseOrder({ ...wire, ...change }), workshop), ({ message }) => {
        match(message, why);
        match(
          message,
          /^Cannot take step "seven" to a worker: .*; start the same program on the same store everywhere$/,
        );
        return true;
      });
    }
    for (const id of ["../../etc/passwd", "", 7, undefined]) {
      throws(() => parseOrder({ ...wire, id }), /^TypeError: Cannot take an order: id: /);
    }
    throws(() => parseOrder({ ...wire, path: "/etc" }), /^TypeError: Cannot take an order: /);
  }));

Deno.test("`run --executor` says in a sentence what is wrong with its word, or that nobody answers", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/a.yaml`;
    await Deno.writeTextFile(path, "steps: { one: { stage: constant, with: { value: 1 } } }\n");
    const call = async (executor: string) => {
      let errors = "";
      const screen = {
        write: () => {},
        error: (text: string) => void (errors += text),
        columns: 0,
        color: false,
      };
      const args = ["run", path, "--store", `${directory}/store`, "--executor", executor];
      return { status: await main(args, { stages, tools: () => ({}), screen }), errors };
    };
    const wrong = await call("restate");
    strictEqual(wrong.status, 2);
    match(wrong.errors, /^Cannot understand --executor restate: expected restate=<url>, such as /);
    // Port 1 is reserved; nothing listens there.
    const silent = await call("restate=http://127.0.0.1:1");
    strictEqual(silent.status, 1);
    match(
      silent.errors,
      /^Cannot use Restate at http:\/\/127\.0\.0\.1:1: .*, expected the server /,
    );
    strictEqual(silent.errors.trim().split("\n").length, 1);
  }));

Deno.test("the program itself neither loads Restate's library nor locks its server", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "mod.ts"],
    cwd: ROOT,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout));
  const loaded = modules.flatMap(
    ({ dependencies = [] }: { dependencies?: { specifier: string; code?: unknown }[] }) =>
      dependencies.filter(({ code }) => code).map(({ specifier }) => specifier),
  );
  ok(loaded.includes("commander"), "it sees what is loaded");
  deepStrictEqual(loaded.filter((name: string) => name.startsWith("@restatedev")), []);
  // Deno fetches all that a lock file names before it runs anything.
  const [lock, own] = await Promise.all(
    ["deno.lock", "pipeline/run/restate/server/deno.lock"].map((path) =>
      Deno.readTextFile(`${ROOT}${path}`)
    ),
  );
  ok(!lock?.includes("@restatedev/restate-server"));
  ok(own?.includes("@restatedev/restate-server-linux-x64"));
});
