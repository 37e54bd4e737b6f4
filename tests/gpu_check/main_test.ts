import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { findAdapter, nameOf } from "../../kernels/device/adapter.ts";
import type { Findings } from "./findings.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

function check(args: readonly string[], env: Record<string, string> = {}): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, ...args],
    env,
    stdout: "piped",
    stderr: "piped",
  });
}

Deno.test("a check that is killed leaves one JSON and one page with what it had found", async () => {
  const name = nameOf((await findAdapter()).info);
  const out = await Deno.makeTempDir();
  try {
    const child = check(["--device", name, "--minutes", "5", "--out", out]).spawn();
    const seen: Findings["sections"] = [];
    while (seen.length < 3) {
      await new Promise((next) => setTimeout(next, 20));
      const text = await Deno.readTextFile(`${out}/gpu-check.json`).catch(() => undefined);
      // Whenever somebody looks, what is there is whole.
      if (text) seen.splice(0, seen.length, ...(JSON.parse(text) as Findings).sections);
    }
    child.kill("SIGKILL");
    await child.output();
    const { adapter, sections } = JSON.parse(await Deno.readTextFile(`${out}/gpu-check.json`));
    assert.equal(adapter.name, name);
    assert.ok(sections.at(-1).state === "cut off" && sections[0].rows.length > 10);
    const page = await Deno.readTextFile(`${out}/gpu-check.md`);
    assert.ok(page.startsWith(`# GPU check: ${name}\n`));
    assert.match(page, /## Kernels whose bits must be those of the reference: done/);
    assert.match(page, /## .*: cut off\n\n\d+\.\d s; at /);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("without a driver, and with words it does not know, a check says what to do", async () => {
  const none = await check([], { VK_DRIVER_FILES: "/none", DENO_WEBGPU_BACKEND: "vulkan" })
    .output();
  const said = ({ stderr }: Deno.CommandOutput) => new TextDecoder().decode(stderr);
  assert.equal(none.code, 2);
  assert.match(said(none), /^Cannot check a graphics processor: .* run the command again\n$/);
  const unknown = await check(["--speed"]).output();
  assert.equal(unknown.code, 2);
  assert.match(said(unknown), /^Unknown option '--speed'.*--minutes N/s);
  const help = await check(["--help"]).output();
  assert.equal(help.code, 0);
  assert.match(new TextDecoder().decode(help.stdout), /--minutes N/);
});
