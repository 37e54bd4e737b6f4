import { join, posix } from "node:path";
import { ROOT } from "./source_files.ts";
import { deal, runHands } from "./test_run.ts";

/** What opens a device, or takes as long as if it did. */
const DOORS = [
  "kernels/device/adapter.ts",
  "kernels/device/cpu/compile.ts",
  "kernels/device/cpu/cpu.ts",
  "kernels/device/gpu.ts",
  "kernels/device/open_device.ts",
  "kernels/device/reference.ts",
  "stages/engine/worker_engine.ts",
  "stages/tools.ts",
  "tests/support/browser.ts",
  "tests/support/tree_copy.ts",
  "mod.ts",
];

/**
 * The tests that need no device, sorted: neither they nor what they import from `tests/` names a
 * program or module that opens one, and none lies in `tests/slow/`.
 */
export async function fastTests(): Promise<string[]> {
  const named = new Map<string, readonly string[]>();
  const opens = async (path: string, seen = new Set<string>()): Promise<boolean> => {
    if (DOORS.includes(path)) return true;
    if (!path.startsWith("tests/") || seen.has(path)) return false;
    seen.add(path);
    if (!named.has(path)) named.set(path, await modulesNamed(path));
    for (const module of named.get(path) ?? []) if (await opens(module, seen)) return true;
    return false;
  };
  const found: string[] = [];
  for (const path of await testFiles("tests")) {
    if (!path.startsWith("tests/slow/") && !await opens(path)) found.push(path);
  }
  return found;
}

/** All files of tests below a folder, sorted. */
export async function testFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await testFiles(path));
    else if (name.endsWith("_test.ts")) found.push(path);
  }
  return found.sort();
}

/** Modules whose values a file imports, and programs that it starts. */
async function modulesNamed(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(join(ROOT, path));
  const names = text.matchAll(/(?:^import (?!type )[^;]*?from |new URL\()"(\.[^"]+\.ts)"/gm);
  return [...names].map(([, name]) => posix.join(posix.dirname(path), name!));
}

/** More processes than cores, for tests wait for disks and clocks. */
if (import.meta.main) {
  const atOnce = 3 * navigator.hardwareConcurrency;
  const hands = await deal(await fastTests(), Array(atOnce).fill(1));
  Deno.exit(await runHands(hands, { atOnce, memoryBytes: 2 ** 30 }) ? 0 : 1);
}
