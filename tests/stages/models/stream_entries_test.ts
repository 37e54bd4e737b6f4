import { strict as assert } from "node:assert";
import { StreamEntries } from "../../../stages/models/stream_entries.ts";

Deno.test("StreamEntries give back a layer's values window by window, or end where one is lacking", async () => {
  const kept = new Map<string, Uint8Array<ArrayBuffer>>();
  const keeper = {
    read: (name: string) => Promise.resolve(kept.get(name)),
    write: (name: string, bytes: Uint8Array) =>
      Promise.resolve(void kept.set(name, Uint8Array.from(bytes))),
  };
  const [windows, size] = [[7, 2, 3, 11, 5], 3];
  const outline = { windows, size, entryBytes: 4 * 2 * size };
  const entries = new StreamEntries(keeper, outline);
  const valuesOf = (layer: number, window: number) => [layer, window, Math.PI * layer * window];
  for (const layer of [1, 2, 3]) {
    for (const [index, window] of windows.entries()) {
      entries.room(index).set(valuesOf(layer, window));
      await entries.keep(index, layer);
    }
  }
  const read = async (layer: number, from = entries) =>
    (await Array.fromAsync(from.read(layer))).map((x) => [...x]);
  const all = (layer: number) =>
    windows.map((window) => [...new Float32Array(valuesOf(layer, window))]);
  assert.equal(kept.size, 2 * 3, "two layers in entries of two windows, two and one");
  assert.deepEqual(await StreamEntries.places(keeper), [3, 2].map((layer) => ({ layer, windows })));
  assert.deepEqual(await read(3), all(3));
  assert.deepEqual(await read(2), all(2));
  assert.deepEqual(await read(1), [], "its place is taken");
  assert.deepEqual(await read(4), []);
  const others = new StreamEntries(keeper, { ...outline, windows: [7, 2, 3, 11, 6] });
  assert.deepEqual(await read(3, others), [], "they are of other windows");
  kept.delete("streams-0-1");
  assert.deepEqual(await read(2), all(2).slice(0, 2));
  kept.set("streams-1-2", kept.get("streams-1-2")!.subarray(0, -4));
  assert.deepEqual(await read(3), all(3).slice(0, 4));
  kept.set("streams-0-0", new Uint8Array(6));
  assert.deepEqual(await StreamEntries.places(keeper), [{ layer: 3, windows }]);
});
