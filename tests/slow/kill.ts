/**
 * Kills a run at random moments and looks whether it goes on as it should:
 *
 *     deno run -A tests/slow/kill.ts [--kills 20] [--seed word] [manifest] [options of run]
 *
 * The manifest runs once undisturbed. Then it runs in other stores and is killed (SIGKILL) at moments
 * drawn evenly from the time the first run took, counted from the start of each process. A run that
 * ends before its moment is compared with the undisturbed one, and the next begins with an empty
 * store. Ends with status 1 where an artifact differs, a finished step is made again, or a kill costs
 * more than one layer, window or step of learning; a part counts as soon as the run had said it was there.
 */
import { fileURLToPath } from "node:url";
import type { RunEvent } from "../../pipeline/event.ts";
import { words } from "../support/random.ts";
import type { Progress } from "../support/stage_progress.ts";

const PROGRAM = fileURLToPath(new URL("../support/stage_progress.ts", import.meta.url));

/** What one process told. */
interface Attempt {
  readonly killed: boolean;
  readonly seconds: number;
  /** Steps it began, and their layers, windows or steps as it came to them, such as `w4a8 layer 2`. */
  readonly places: readonly string[];
  /** Content digests of the steps it made or reused. */
  readonly digests: ReadonlyMap<string, string>;
}

/** A kill, with what the process after it made of it. */
interface Kill {
  readonly round: number;
  readonly seconds: number;
  readonly reached: string | undefined;
  readonly next: { readonly first: string | undefined; readonly repeated: readonly string[] };
}

async function main(args: string[]): Promise<number> {
  const most = Number(takeOption(args, "--kills") ?? 20);
  const seed = takeOption(args, "--seed") ?? crypto.randomUUID().slice(0, 8);
  const given = args[0] !== undefined && !args[0].startsWith("-");
  const manifest = given ? args.shift()! : "configs/qoq.yaml";
  const root = await Deno.makeTempDir({ prefix: "quattuor-kill-" });
  const start = (store: string, limit?: number) =>
    attempt(["run", manifest, ...args, "--json", "--store", `${root}/${store}`], limit);
  const alone = await start("alone");
  say(`${manifest}: ${alone.seconds.toFixed(1)} s undisturbed; ${most} kills, seed ${seed}`);
  const random = words(seed);
  const kills: Kill[] = [];
  const faults: string[] = [];
  let [round, before] = [1, [] as Attempt[]];
  for (let done = false; !done;) {
    const pending = before.length > 0;
    const limit = kills.length + Number(pending) < most
      ? alone.seconds * random.next().value / 2 ** 32
      : undefined;
    const now = await start(`round-${round}`, limit);
    if (pending) kills.push(killOf(round, before, now));
    faults.push(...again(before, now).map((step) => `${step} was finished and is made again`));
    before.push(now);
    if (now.killed) continue;
    faults.push(...differences(alone, now).map((step) => `${step} differs in round ${round}`));
    done = limit === undefined;
    [round, before] = [round + 1, []];
  }
  say(table(kills));
  for (const fault of faults) say(fault);
  const costly = kills.filter(({ next }) => next.repeated.length > 1).length;
  say(
    `${kills.length} kills in ${
      round - 1
    } runs; more than one layer, window or step lost: ${costly}; ` +
      `${alone.digests.size} artifacts, ${faults.length} faults`,
  );
  if (costly + faults.length > 0) say(`The stores are in ${root}`);
  else await Deno.remove(root, { recursive: true });
  return costly + faults.length > 0 ? 1 : 0;
}

/** Runs the program in a process of its own, which is killed after `limit` seconds. */
async function attempt(args: readonly string[], limit?: number): Promise<Attempt> {
  const start = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", PROGRAM, ...args],
    stdout: "piped",
  }).spawn();
  const timer = limit === undefined ? 0 : setTimeout(() => child.kill("SIGKILL"), 1000 * limit);
  const places: string[] = [];
  const digests = new Map<string, string>();
  let [rest, step, over] = ["", "", false];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const told: RunEvent | Progress = JSON.parse(line);
      if (told.type === "start") places.push(step = told.step);
      if (told.type === "done" || told.type === "reuse") digests.set(told.step, told.digest);
      if (told.type === "summary") over = told.ok;
      const part = told.type === "said" && /^(layer|window|step) \d+/.exec(told.note ?? "")?.[0];
      if (part && !places.includes(`${step} ${part}`)) places.push(`${step} ${part}`);
    }
  }
  const { signal } = await child.status;
  clearTimeout(timer);
  if (!over && signal !== "SIGKILL") throw new Error("Cannot test a run that fails by itself");
  return { killed: !over, seconds: (performance.now() - start) / 1000, places, digests };
}

/** The kill that ended the last of some processes of one round, as the next process shows it. */
function killOf(round: number, before: readonly Attempt[], now: Attempt): Kill {
  const { seconds, places } = before.at(-1)!;
  const parts = now.places.filter(isPart);
  const repeated = parts.filter((part) => before.some(({ places }) => places.includes(part)));
  return {
    round,
    seconds,
    reached: places.at(-1),
    next: { first: parts[0] ?? now.places[0], repeated },
  };
}

/** Steps that were finished in a round and are made again. */
function again(before: readonly Attempt[], { places }: Attempt): string[] {
  return places.filter((step) => before.some(({ digests }) => digests.has(step)));
}

function differences({ digests }: Attempt, now: Attempt): string[] {
  return [...digests].filter(([step, digest]) => now.digests.get(step) !== digest)
    .map(([step]) => step);
}

function isPart(place: string): boolean {
  return place.includes(" ");
}

function table(kills: readonly Kill[]): string {
  const rows = kills.map(({ round, seconds, reached, next }, i) => [
    String(i + 1),
    String(round),
    seconds.toFixed(2),
    reached ?? "not begun",
    next.first ?? "killed before",
    `${next.repeated.length}${next.repeated.length > 0 ? ` (${next.repeated.join(", ")})` : ""}`,
  ]);
  const all = [["kill", "run", "seconds", "reached", "goes on at", "repeated"], ...rows];
  const widths = all[0]!.map((_, c) => Math.max(...all.map((row) => row[c]!.length)));
  return all.map((row) => row.map((cell, c) => cell.padEnd(widths[c]!)).join("  ").trimEnd())
    .join("\n");
}

/** Takes an option and its value out of a command line. */
function takeOption(args: string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

if (import.meta.main) Deno.exit(await main([...Deno.args]));
