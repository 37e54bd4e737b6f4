import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Workbench } from "../../../../pipeline/run/restate/workbench.ts";

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
