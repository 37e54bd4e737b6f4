import { strict as assert } from "node:assert";
import { StreamEntries } from "../../../stages/models/stream_entries.ts";

Deno.test("StreamEntries give back a layer's values window by window, or end where one is lacking", async () => {
  const kept = new Map<string, Uint8Array<ArrayBuffer>>();
  const keeper = {
    read: (name: string) => Promise.resolve(kept.get(name)),
    write: (name: string, bytes: Uint8Array) =>
      Promise.resolve(void kept.set(name, Uint8Array.from(bytes))),
  };
  const [count, size] = [5, 3];
  const entries = new StreamEntries(keeper, { count, size, entryBytes: 4 * 2 * size });
  const valuesOf = (layer: number, window: number) => [layer, window, Math.PI * layer * window];
  for (const layer of [1, 2, 3]) {
    for (let window = 0; window < count; window++) {
      entries.room(window).set(valuesOf(layer, window));
      await entries.keep(window, layer);
    }
  }
  const read = async (layer: number) =>
    (await Array.fromAsync(entries.read(layer))).map((x) => [...x]);
  const all = (layer: number) =>
    Array.from({ length: count }, (_, i) => [...new Float32Array(valuesOf(layer, i))]);
  assert.equal(kept.size, 2 * 3, "two layers in entries of two windows, two and one");
  assert.deepEqual(await read(3), all(3));
  assert.deepEqual(await read(2), all(2));
  assert.deepEqual(await read(1), [], "its place is taken");
  assert.deepEqual(await read(4), []);
  kept.delete("streams-0-1");
  assert.deepEqual(await read(2), all(2).slice(0, 2));
  kept.set("streams-1-2", kept.get("streams-1-2")!.subarray(0, -4));
  assert.deepEqual(await read(3), all(3).slice(0, 4));
});
