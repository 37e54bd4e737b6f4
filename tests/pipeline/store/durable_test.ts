import { strict as assert } from "node:assert";
import { move } from "../../../pipeline/store/durable.ts";

Deno.test("a move is tried again on Windows while something is open, and nowhere else", async () => {
  const { Busy, NotFound, PermissionDenied } = Deno.errors;
  const moved = async (os: typeof Deno.build.os, ...errors: Error[]) => {
    const seen: string[] = [];
    const rename = (from: string, to: string) => {
      seen.push(`${from} ${to}`);
      const error = errors.shift();
      return error ? Promise.reject(error) : Promise.resolve();
    };
    const thrown = await move("a", "b", { os, rename }).then(() => undefined, (error) => error);
    return { seen, thrown };
  };
  const held = () => new PermissionDenied("in use");
  assert.deepEqual(await moved("windows", held(), new Busy("in use")), {
    seen: ["a b", "a b", "a b"],
    thrown: undefined,
  });
  assert.equal((await moved("linux", held())).seen.length, 1);
  assert.ok((await moved("linux", held())).thrown instanceof PermissionDenied);
  const gone = await moved("windows", new NotFound("gone"));
  assert.ok(gone.seen.length === 1 && gone.thrown instanceof NotFound);
  const never = await moved("windows", ...Array.from({ length: 20 }, held));
  assert.ok(never.seen.length === 8 && never.thrown instanceof PermissionDenied);
});

Deno.test("a directory moves with what is in it", async () => {
  const place = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${place}/from`);
    await Deno.writeTextFile(`${place}/from/a`, "text");
    await move(`${place}/from`, `${place}/to`);
    assert.equal(await Deno.readTextFile(`${place}/to/a`), "text");
    await assert.rejects(() => move(`${place}/from`, `${place}/to`), Deno.errors.NotFound);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});
