import { rejects, strictEqual } from "node:assert/strict";
import { messageOf, StageError } from "../../pipeline/errors.ts";

Deno.test("what is told is what went wrong first, whatever could not be put away after it", async () => {
  const open = async () => {
    await using _outer = { [Symbol.asyncDispose]: () => Promise.reject(new Error("outer")) };
    using _inner = {
      [Symbol.dispose]: () => {
        throw new Error("inner");
      },
    };
    throw new Error("Cannot open the device");
  };
  await rejects(open, (error: Error) => {
    strictEqual(error.name, "SuppressedError");
    strictEqual(messageOf(error), "Cannot open the device");
    strictEqual(new StageError("a", { cause: error }).message, "Cannot open the device");
    return true;
  });
});
