// A reader of requests that never ends with a body that says so.
import type { ToReader } from "../../stages/serve/reader_messages.ts";
import "../../stages/serve/reader_worker.ts";

const reader = self as unknown as { onmessage(event: MessageEvent<ToReader>): void };
const hear = reader.onmessage;

reader.onmessage = (event) => {
  const { data } = event;
  const stuck = data.type === "read" && new TextDecoder().decode(data.body).includes("never ends");
  while (stuck);
  hear.call(reader, event);
};
