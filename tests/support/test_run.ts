import { join } from "node:path";
import { V8_FLAGS } from "../../kernels/device/cpu/v8_flags.ts";
import { freeBytes } from "../../pipeline/store/trouble.ts";
import { ROOT } from "./source_files.ts";
import { failures, summary, type TestOutput } from "./test_output.ts";

/** Where Linux keeps files in memory: tests make and remove thousands, which takes a disk long. */
const MEMORY_DISK = "/dev/shm";

/** Exit status after Ctrl-C. */
const STOPPED = 130;

/** What looks at types. */
const CHECK = ["check", "-q", "mod.ts", "tests"];

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
 * at last which tests failed and what all come to, as `deno test` does. True where all passed.
 */
export async function runHands(
  hands: readonly Hand[],
  { atOnce, memoryBytes, check = false }: TestRun,
): Promise<boolean> {
  const start = performance.now();
  const roomy = (await freeBytes(MEMORY_DISK) ?? 0) > memoryBytes;
  const directory = await Deno.makeTempDir(roomy ? { dir: MEMORY_DISK } : {});
  const outputs: TestOutput[] = [];
  let [typed, fine] = [true, true];
  const jobs = [
    ...check ? [async () => typed = await checkTypes()] : [],
    ...hands.map((files) => async () => {
      const env = { TMPDIR: directory, DENO_V8_FLAGS: V8_FLAGS.join() };
      const output = await runHand(files, env);
      fine &&= output.success;
      outputs.push(output);
      write(output.text);
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
  fine &&= typed;
  const failed = [
    ...outputs.flatMap(failures),
    ...typed ? [] : [`types: deno ${CHECK.join(" ")}`],
  ];
  const seconds = (performance.now() - start) / 1000;
  write(`\n${[...failed, summary(outputs, { fine, seconds })].join("\n\n")}\n`);
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
async function runHand(files: Hand, env: Record<string, string>): Promise<TestOutput> {
  const imports = "tests/support/test_imports.ts";
  const args = ["test", "-A", "--no-check", ...Deno.args, imports, "--", ...files];
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env, stderr: "inherit" });
  const { success, stdout } = await command.output();
  return { files, success, text: new TextDecoder().decode(stdout) };
}

async function checkTypes(): Promise<boolean> {
  const command = new Deno.Command(Deno.execPath(), { args: CHECK, cwd: ROOT, stdout: "inherit" });
  return (await command.spawn().status).success;
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}
