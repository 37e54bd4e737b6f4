// A reader of requests that never ends with a body that says so.
import type { ToReader } from "../../stages/serve/reader_messages.ts";
import "../../stages/serve/reader_worker.ts";

const reader = self as unknown as { onmessage(event: MessageEvent<ToReader>): void };
const hear = reader.onmessage;
const nothing = new Int32Array(new SharedArrayBuffer(4));

reader.onmessage = (event) => {
  const { data } = event;
  const stuck = data.type === "read" && new TextDecoder().decode(data.body).includes("never ends");
  // As busy as can be for its reader's others, and hardly for the machine's.
  while (stuck) Atomics.wait(nothing, 0, 0, 5);
  hear.call(reader, event);
};
