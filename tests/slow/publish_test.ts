// Slow: looks at every file that would be published, and types all of them.
import { strict as assert } from "node:assert";
import { ROOT } from "../support/source_files.ts";

Deno.test("the library could be published, with types of its public names that nobody has to infer", async () => {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const told = new TextDecoder().decode(stderr);
  assert.ok(success, told.slice(0, 4000));
  assert.match(told, /Dry run complete/);
  for (const file of ["mod.ts", "configs/qoq.yaml", "kernels/assembly/kernels_relaxed.wasm"]) {
    assert.match(told, new RegExp(`${file.replaceAll(".", "\\.")} \\(`), file);
  }
  assert.doesNotMatch(told, /tests\/slow/);
});

Deno.test("a program that imports the library has its public names", async () => {
  const names = Object.keys(await import("../../mod.ts")).sort();
  assert.deepEqual(names, [
    "ManifestError",
    "StageError",
    "Store",
    "canonicalJson",
    "checkExport",
    "defineCommand",
    "describeDifference",
    "keyOf",
    "main",
    "manifestSchema",
    "openRemote",
    "parseManifest",
    "plan",
    "readManifest",
    "run",
    "stages",
  ]);
});
