// Slow: pushes a quarter of a gigabyte, and kills the program amid that.
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { temporary } from "../support/directory.ts";
import { directoryPlace, filesBelow, makeArtifact } from "../support/remote_place.ts";

Deno.test("a directory that a killed process was pushing to shows nothing of it", async () => {
  await using shared = await directoryPlace();
  await using here = await temporary();
  const weights = new Uint8Array(1 << 28);
  const { key, path } = await makeArtifact(`${here.path}/store`, { config: "same", weights });
  const { name: root } = await shared.open();
  const program = `
    import { openRemote } from ${
    JSON.stringify(import.meta.resolve("../../pipeline/store/remote/open_remote.ts"))
  };
    await (await openRemote(${JSON.stringify(root)})).push("${key}", ${JSON.stringify(path)});
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `--config=${fileURLToPath(new URL("../../deno.json", import.meta.url))}`,
      program,
    ],
  }).spawn();
  const isHalf = async () => {
    for (const name of await filesBelow(root)) {
      const info = await Deno.stat(`${root}/${name}`).catch(() => undefined);
      if (name.startsWith("tmp/") && (info?.size ?? 0) > 1 << 20) return true;
    }
    return false;
  };
  let over = false;
  void child.status.then(() => over = true);
  while (!over && !await isHalf()) await new Promise((resolve) => setTimeout(resolve, 1));
  child.kill("SIGKILL");
  strictEqual((await child.status).signal, "SIGKILL");
  const left = await shared.list();
  ok(left.some((name) => name.startsWith("tmp/")));
  ok(!left.some((name) => name.startsWith("artifacts/")));
  // What shows is whole.
  for (const name of left.filter((name) => name.startsWith("files/"))) {
    strictEqual(name, `files/${createHash("sha256").update("same").digest("hex")}`);
  }
  const remote = await shared.open();
  strictEqual(await remote.has(key), false);
  strictEqual(await remote.fetch(key, here.path), false);
  await remote.push(key, path);
  strictEqual(await remote.has(key), true);
  deepStrictEqual((await shared.list()).filter((name) => name.startsWith("tmp/")), []);
});
