import { rejects, strictEqual } from "node:assert/strict";
import { openDoor } from "../../../stages/serve/door.ts";

Deno.test("a door holds its address and answers 503 until it is opened", async () => {
  await using door = await openDoor({ port: 0 });
  const ask = async () => {
    const response = await fetch(`${door.url}/health`);
    await response.body?.cancel();
    return response.status;
  };
  strictEqual(await ask(), 503);
  const { port } = new URL(door.url);
  await rejects(openDoor({ port: Number(port) }), /the port is taken/);
  door.open(() => new Response("here"));
  strictEqual(await ask(), 200);
});

Deno.test("a door that is disposed gives its address back", async () => {
  const door = await openDoor({ port: 0 });
  const port = Number(new URL(door.url).port);
  await door[Symbol.asyncDispose]();
  await using again = await openDoor({ port });
  strictEqual(new URL(again.url).port, String(port));
});
