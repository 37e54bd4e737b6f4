import { deepStrictEqual, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));

Deno.test("the program itself neither loads Restate's library nor locks its server", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "mod.ts"],
    cwd: ROOT,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout));
  const loaded = modules.flatMap(
    ({ dependencies = [] }: { dependencies?: { specifier: string; code?: unknown }[] }) =>
      dependencies.filter(({ code }) => code).map(({ specifier }) => specifier),
  );
  ok(loaded.includes("commander"), "it sees what is loaded");
  deepStrictEqual(loaded.filter((name: string) => name.startsWith("@restatedev")), []);
  // Deno fetches all that a lock file names before it runs anything.
  const [lock, own] = await Promise.all(
    ["deno.lock", "pipeline/run/restate/server/deno.lock"].map((path) =>
      Deno.readTextFile(`${ROOT}${path}`)
    ),
  );
  ok(!lock?.includes("@restatedev/restate-server"));
  ok(own?.includes("@restatedev/restate-server-linux-x64"));
});
