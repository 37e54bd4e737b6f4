import { ok, strictEqual } from "node:assert/strict";
import { turn } from "../../../stages/serve/turn.ts";

/** Works for some time, as whoever writes a long answer does. */
function work(milliseconds: number): void {
  for (const start = performance.now(); performance.now() - start < milliseconds;);
}

Deno.test("sockets are heard between two goes of long work", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let heard = false;
  const echo = (async () => {
    using server = await listener.accept();
    await server.write(new Uint8Array(1));
    await server.read(new Uint8Array(1));
    heard = true;
  })();
  const client = (async () => {
    using client = await Deno.connect(listener.addr as Deno.NetAddr & { transport: "tcp" });
    await client.read(new Uint8Array(1));
    await client.write(new Uint8Array(1));
  })();
  // A connection and three messages: each may take a go or two.
  let goes = 0;
  while (!heard && goes < 1000) {
    work(1);
    const others = turn();
    if (others) goes++;
    await others;
  }
  await Promise.all([client, echo]);
  // Sockets that are heard last of all would be after many hundreds.
  ok(goes < 200, `it was heard after ${goes} goes`);
});

Deno.test("work that takes turns with others shares one go with them", async () => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  strictEqual(turn(), undefined);
  work(6);
  await Promise.resolve();
  // Whoever asks now is in the same go.
  const others = turn();
  ok(others, "it goes on after 6 ms");
  await others;
  strictEqual(turn(), undefined);
});
