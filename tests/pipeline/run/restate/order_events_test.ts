import { deepStrictEqual, strictEqual } from "node:assert/strict";
import {
  OrderEventReader,
  OrderEventWriter,
  wasBegun,
} from "../../../../pipeline/run/restate/order_events.ts";
import { eventsPath } from "../../../../pipeline/run/restate/order_events.ts";
import { withDirectory } from "../../../support/directory.ts";

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
