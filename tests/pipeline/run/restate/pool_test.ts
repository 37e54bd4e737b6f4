import { deepStrictEqual } from "node:assert/strict";
import {
  EMPTY,
  giveBack,
  join,
  leave,
  type Seat,
  type SeatPool,
  take,
} from "../../../../pipeline/run/restate/pool.ts";

function seat(name: string): Seat {
  return { name, uri: `http://127.0.0.1/${name}`, host: "here", pid: 1, deployment: `at ${name}` };
}

function poolOf(...names: readonly string[]): SeatPool {
  return names.reduce((pool, name) => join(pool, seat(name)).pool, EMPTY);
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
