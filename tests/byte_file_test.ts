import { strictEqual } from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ByteFile } from "../stages/formats/byte_file.ts";

Deno.test("a file that stays open does not keep the bytes that were read of it", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, new Uint8Array(2 ** 20).fill(7));
    using file = await ByteFile.open(path);
    const read = new WeakRef(await file.read(0, 2 ** 20));
    // A reference that was looked at lives until the task ends.
    await new Promise((resolve) => setTimeout(resolve, 0));
    collect();
    strictEqual(read.deref(), undefined);
    strictEqual((await file.read(3, 4))[0], 7);
  } finally {
    await Deno.remove(path);
  }
});
