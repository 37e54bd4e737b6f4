import { dirname, join, relative } from "node:path";
import { freeBytes } from "../../pipeline/store/trouble.ts";
import { ROOT } from "./source_files.ts";

/** What opens a device, or takes as long as if it did. */
const DOORS = [
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

/** Where Linux keeps files in memory: tests make and remove thousands, which takes a disk long. */
const MEMORY_DISK = "/dev/shm";
/** More than tests write at a time. */
const MOST_BYTES = 2 ** 30;

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
  return [...names].map(([, name]) => relative(ROOT, join(ROOT, dirname(path), name!)));
}

/**
 * Runs some tests and gives what it says and whether all passed; `deno check` looks at types. A
 * process of its own, for some tests set its environment, and one module imports them, for each
 * file else starts a worker and all modules that it imports.
 */
async function runTests(
  files: readonly string[],
  env: Record<string, string>,
): Promise<{ text: string; fine: boolean }> {
  const imports = "tests/support/test_imports.ts";
  const args = ["test", "-A", "--no-check", ...Deno.args, imports, "--", ...files];
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env, stderr: "inherit" });
  const { success, stdout } = await command.output();
  return { text: new TextDecoder().decode(stdout), fine: success };
}

/** Deals tests out, the largest files first, each to the hand that has the fewest bytes. */
async function deal(files: readonly string[], count: number): Promise<string[][]> {
  const sizes = await Promise.all(files.map(async (path) => {
    const { size } = await Deno.stat(join(ROOT, path));
    return { path, size };
  }));
  const hands = Array.from({ length: count }, () => ({ paths: [] as string[], size: 0 }));
  for (const { path, size } of sizes.sort((a, b) => b.size - a.size)) {
    const least = hands.reduce((one, other) => other.size < one.size ? other : one);
    least.paths.push(path);
    least.size += size;
  }
  return hands.map(({ paths }) => paths).filter(({ length }) => length > 0);
}

/** More hands than cores, for tests wait for disks and clocks. */
if (import.meta.main) {
  const hands = await deal(await fastTests(), 3 * navigator.hardwareConcurrency);
  const roomy = (await freeBytes(MEMORY_DISK) ?? 0) > MOST_BYTES;
  const directory = await Deno.makeTempDir(roomy ? { dir: MEMORY_DISK } : {});
  const results = await Promise.all(hands.map((files) => runTests(files, { TMPDIR: directory })));
  await Deno.remove(directory, { recursive: true });
  for (const { text } of results) Deno.stdout.writeSync(new TextEncoder().encode(text));
  Deno.exit(results.every(({ fine }) => fine) ? 0 : 1);
}
