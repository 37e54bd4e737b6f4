import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { V8_FLAGS } from "../../kernels/device/cpu/v8_flags.ts";
import { freeBytes } from "../../pipeline/store/trouble.ts";
import { ROOT } from "./source_files.ts";

/** Where Linux keeps files in memory: tests make and remove thousands, which takes a disk long. */
const MEMORY_DISK = "/dev/shm";

/** Exit status after Ctrl-C. */
const STOPPED = 130;

/** Files of tests that one process runs. */
export type Hand = readonly string[];

/** How to run tests. */
export interface TestRun {
  /** Processes at a time. */
  readonly atOnce: number;
  /** Bytes that have to be free in memory for the files of tests to lie there. */
  readonly memoryBytes: number;
  /** Whether types are looked at too, in the first of the processes. */
  readonly check?: boolean;
}

/**
 * Runs hands of tests, some at a time and the first ones first, says what each says when it ends and
 * at last what they come to, as `deno test` does. True where all passed.
 */
export async function runHands(
  hands: readonly Hand[],
  { atOnce, memoryBytes, check = false }: TestRun,
): Promise<boolean> {
  const start = performance.now();
  const roomy = (await freeBytes(MEMORY_DISK) ?? 0) > memoryBytes;
  const directory = await Deno.makeTempDir(roomy ? { dir: MEMORY_DISK } : {});
  const texts: string[] = [];
  let fine = true;
  const jobs = [
    ...check ? [async () => fine = await checkTypes() && fine] : [],
    ...hands.map((files) => async () => {
      const { text, success } = await runHand(files, {
        TMPDIR: directory,
        DENO_V8_FLAGS: V8_FLAGS.join(),
      });
      fine &&= success;
      texts.push(text);
      write(text);
    }),
  ];
  const clear = () => Deno.remove(directory, { recursive: true });
  const stop = () => void clear().catch(() => {}).finally(() => Deno.exit(STOPPED));
  Deno.addSignalListener("SIGINT", stop);
  const work = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job();
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, work));
  } finally {
    Deno.removeSignalListener("SIGINT", stop);
    await clear();
  }
  write(`\n${summary(texts, { fine, seconds: (performance.now() - start) / 1000 })}\n`);
  return fine;
}

/** Deals tests out, the largest files first, each to the hand that is least full of its share. */
export async function deal(files: readonly string[], shares: readonly number[]): Promise<Hand[]> {
  const sizes = await Promise.all(files.map(async (path) => {
    const { size } = await Deno.stat(join(ROOT, path));
    return { path, size };
  }));
  const hands = shares.map((share) => ({ share, paths: [] as string[], size: 0 }));
  for (const { path, size } of sizes.sort((a, b) => b.size - a.size)) {
    const fullness = (hand: { readonly size: number; readonly share: number }) =>
      (hand.size + size) / hand.share;
    const least = hands.reduce((one, other) => fullness(other) < fullness(one) ? other : one);
    least.paths.push(path);
    least.size += size;
  }
  return hands.map(({ paths }) => paths).filter(({ length }) => length > 0);
}

/**
 * A process of its own, for some tests set its environment or measure it, and one module imports
 * them, for each file else starts a worker and all modules that it imports.
 */
async function runHand(
  files: Hand,
  env: Record<string, string>,
): Promise<{ readonly text: string; readonly success: boolean }> {
  const imports = "tests/support/test_imports.ts";
  const args = ["test", "-A", "--no-check", ...Deno.args, imports, "--", ...files];
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env, stderr: "inherit" });
  const { success, stdout } = await command.output();
  return { text: new TextDecoder().decode(stdout), success };
}

async function checkTypes(): Promise<boolean> {
  const args = ["check", "-q", "mod.ts", "tests"];
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "inherit" });
  return (await command.spawn().status).success;
}

/**
 * What processes of `deno test` come to, in a line as each ends with. One that has no such line died,
 * and counts as a failed test.
 */
export function summary(
  texts: readonly string[],
  { fine, seconds }: { readonly fine: boolean; readonly seconds: number },
): string {
  const lines = texts.map((text) => {
    const line = stripVTControlCharacters(text).trimEnd().split("\n").at(-1) ?? "";
    return /\d+ passed.* \| \d+ failed/.test(line) ? line : "1 failed";
  });
  const count = (word: string) =>
    lines.reduce((sum, line) => sum + Number(new RegExp(`(\\d+) ${word}`).exec(line)?.[1] ?? 0), 0);
  const [steps, failed] = [count("step"), count("failed")];
  return [
    fine && failed === 0 ? "ok" : "FAILED",
    `${count("passed")} passed${steps > 0 ? ` (${steps} steps)` : ""}`,
    `${failed} failed`,
    ...["ignored", "filtered out"].flatMap((word) =>
      count(word) > 0 ? [`${count(word)} ${word}`] : []
    ),
  ].join(" | ") + ` (${Math.floor(seconds / 60)}m${Math.floor(seconds % 60)}s)`;
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}
