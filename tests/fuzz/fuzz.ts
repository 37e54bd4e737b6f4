// deno task fuzz --minutes N | --count N [--seed S] [--target NAME]...: hands odd inputs to all readers,
// for so long, or so many to each.
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { mutant, randomAt } from "./mutation.ts";
import { TARGETS } from "./targets.ts";

/** Processor seconds and memory that no input may take. */
export const FUZZ_BOUNDS = { seconds: 5, bytes: 2 ** 30 } as const;

/** What is wrong with a reader, with an input that shows it. */
export interface Fault {
  readonly target: string;
  readonly fault: string;
  /** In base 64. */
  readonly input: string;
}

const ATTEMPTS = fileURLToPath(new URL("./attempts.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/**
 * Reads so many inputs of a target in processes that may write into one directory only; a process
 * that hangs, grows or dies is a fault, and the next goes on behind the input.
 */
export async function fuzz(
  target: string,
  { seed, count, first = 0, seconds = Infinity }: {
    readonly seed: number;
    readonly count: number;
    readonly first?: number;
    /** When to stop, from a first input on. */
    readonly seconds?: number;
  },
): Promise<{ readonly faults: readonly Fault[]; readonly done: number }> {
  const faults: Fault[] = [];
  let at = first;
  let left = 1000 * seconds;
  while (at < first + count && left > 0) {
    // Deno lets nobody write below /dev without all rights, and tests may have TMPDIR there.
    const linux = Deno.build.os === "linux" ? { dir: "/tmp" } : {};
    const directory = await Deno.makeTempDir(linux);
    try {
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--no-check", "--no-prompt", `--config=${CONFIG}`, "--allow-read"],
          ...["--allow-env", "--allow-sys", `--allow-write=${directory}`, ATTEMPTS],
          ...[target, seed, at, first + count - at, directory].map(String),
        ],
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const over = child.output();
      const { why, spent } = await watch(child.pid, `${directory}/at`, over, left);
      left -= spent;
      if (why !== undefined) end(child);
      const { code, signal, stdout, stderr } = await over;
      for (const line of new TextDecoder().decode(stdout).split("\n").slice(0, -1)) {
        faults.push({ target, ...JSON.parse(line) });
      }
      const last = Number(await Deno.readTextFile(`${directory}/at`).catch(() => at - 1));
      const died = code !== 0 && why === undefined
        ? `it ends by ${signal ?? code}: ${new TextDecoder().decode(stderr).slice(-400)}`
        : undefined;
      const fault = why === "time" ? undefined : why ?? died;
      if (fault !== undefined) {
        const seeds = await TARGETS[target]!.seeds(await Deno.makeTempDir({ dir: directory }));
        const input = mutant(seeds, TARGETS[target]!.words, randomAt(seed, Math.max(at, last)))
          .toBase64();
        faults.push({ target, fault, input });
      }
      // One that died before its first input would do so for ever.
      at = died !== undefined && last < at ? first + count : last + 1;
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }
  return { faults, done: at - first };
}

/**
 * What a process does wrong, or "time" where it has worked at inputs for so many milliseconds, or nothing
 * until it ends.
 */
async function watch(
  pid: number,
  place: string,
  over: Promise<unknown>,
  most: number,
): Promise<{ readonly why?: string; readonly spent: number }> {
  let ended = false;
  over.finally(() => ended = true);
  let [input, since] = ["", 0];
  let begun: number | undefined;
  const result = (why?: string) => ({
    spent: begun === undefined ? 0 : performance.now() - begun,
    ...why !== undefined && { why },
  });
  while (!ended) {
    await Promise.race([over, sleep(100)]);
    const [now, used, bytes] = await Promise.all([
      Deno.readTextFile(place).catch(() => ""),
      Deno.readTextFile(`/proc/${pid}/stat`).then(processorSeconds, () => 0),
      Deno.readTextFile(`/proc/${pid}/status`)
        .then((text) => 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0), () => 0),
    ]);
    if (ended) break;
    if (now !== "") begun ??= performance.now();
    if (result().spent > most) return result("time");
    if (bytes > FUZZ_BOUNDS.bytes) return result(`it takes ${bytes} bytes of memory`);
    if (now !== input) [input, since] = [now, used];
    else if (now !== "" && used - since > FUZZ_BOUNDS.seconds) {
      return result(`it takes more than ${FUZZ_BOUNDS.seconds} s`);
    }
  }
  return result();
}

function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** Seconds in user and kernel mode, of which Linux counts a hundred each (proc(5)). */
function processorSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "5" },
      count: { type: "string" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1e6)) },
      target: { type: "string", multiple: true, default: Object.keys(TARGETS) },
    },
  });
  const unknown = values.target.find((name) => !Object.hasOwn(TARGETS, name));
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  const count = values.count === undefined ? undefined : Number(values.count);
  const none = count !== undefined && !(Number.isInteger(count) && count > 0);
  if (unknown !== undefined || none || !(minutes > 0) || !Number.isInteger(seed)) {
    say(
      `Cannot fuzz: expected --minutes N or --count N, --seed S and --target of ${
        Object.keys(TARGETS)
      }`,
    );
    Deno.exit(2);
  }
  const end = performance.now() + 60_000 * minutes;
  const totals = new Map<string, number>();
  let found = 0;
  say(`Seed ${seed}`);
  const take = async (target: string, amount: { count: number; seconds?: number }) => {
    const first = totals.get(target) ?? 0;
    const { faults, done } = await fuzz(target, { seed, first, ...amount });
    totals.set(target, first + done);
    found += faults.length;
    for (const one of faults) say(JSON.stringify(one));
  };
  if (count !== undefined) {
    for (const target of values.target) await take(target, { count });
  } else {
    const seconds = Math.max(5, 60 * minutes / values.target.length / 4);
    while (performance.now() < end) {
      for (const target of values.target) {
        if (performance.now() < end) await take(target, { count: 1e6, seconds });
      }
    }
  }
  say(`${[...totals].map(([name, count]) => `${name} ${count}`).join(", ")}: ${found} faults`);
  Deno.exit(found > 0 ? 1 : 0);
}

function say(text: string): void {
  // deno-lint-ignore no-console -- what the task prints
  console.log(text);
}
