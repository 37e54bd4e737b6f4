import { ok, strictEqual } from "node:assert/strict";

/** Reads 4 MB of each of eight files that stay open, and tells what memory is held afterwards. */
const PROGRAM = `
const { ByteFile } = await import(${
  JSON.stringify(new URL("../../../stages/formats/byte_file.ts", import.meta.url).href)
});
const path = Deno.args[0];
const files = [];
for (let i = 0; i < 8; i++) {
  const file = ByteFile.open(path);
  files.push(file);
  if ((await file.read(0, 4e6)).length !== 4e6) throw new Error("short");
}
// A thread of its own gives them back, when it has its turn.
for (let tries = 0; tries < 200; tries++) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  gc();
  if (Deno.memoryUsage().external < 16e6) break;
}
console.log(Deno.memoryUsage().external);
`;

Deno.test("files that stay open do not keep the bytes that were read of them", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, new Uint8Array(4e6));
    const args = ["eval", "--v8-flags=--expose-gc", PROGRAM, path];
    const { code, stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
    strictEqual(code, 0);
    const held = Number(new TextDecoder().decode(stdout));
    // Eight times 4 MB where they do, and the last of them where the engine still looks at it.
    ok(held < 16e6, `${held} bytes are held`);
  } finally {
    await Deno.remove(path);
  }
});
