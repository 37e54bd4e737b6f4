import { resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import { HERE, openStore, sizeCap } from "../open_store.ts";
import { tellingErrors, UsageError } from "../told_error.ts";
import { forgetRuns, goesOn, runsByManifest } from "../../store/runs.ts";
import type { Store } from "../../store/store.ts";
import { collect, type Collected, type Removal } from "../../store/collect.ts";
import { isDirectory, isThere } from "../../store/directories.ts";
import { shortPath } from "../../tell/terminal/screen.ts";
import { formatTable } from "../../tell/terminal/columns.ts";
import { count, formatBytes } from "../../words.ts";
import { defineCommand } from "../command.ts";

const DAY_MS = 24 * 3600 * 1000;

/** Removes from the store what no run uses. */
export const gc = defineCommand({
  options: (command) =>
    void command
      .option("--dry-run", "say what would go, and what that frees")
      .option("--keep-days <days>", "keep what was used in the last days", parseDays)
      .option("--keep <key>", "keep this artifact, named by its key's first letters", gather, [])
      .option("--forget <manifest>", "forget this manifest's runs and what they keep", gather, []),
  run: tellingErrors(async ({ screen, flags, own }) => {
    const dryRun = own.dryRun === true;
    const store = await openStore(HERE, flags);
    if (!await isDirectory(store.path)) {
      throw new Error(`Cannot find a store in ${store.path}: name one with --store`);
    }
    const forget = new Set((own.forget as string[]).map((path) => resolve(path)));
    await checkForget(store.path, forget);
    const keep = await keysOf(store, own.keep as string[]);
    if (!dryRun) { for (const manifest of forget) await forgetRuns(store.path, manifest); }
    const usedSince = own.keepDays === undefined
      ? Infinity
      : Date.now() - Number(own.keepDays) * DAY_MS;
    const collected = await collect(store.path, {
      dryRun,
      maxBytes: sizeCap(flags),
      usedSince,
      quarantinedSince: usedSince,
      keep,
      forget,
    });
    const manifests = await Promise.all(
      collected.manifests.map(async (path) => ({ path, there: await isThere(path) })),
    );
    const told = { dryRun, ...collected, manifests };
    screen.write(flags.json ? gcLine(store.path, told) : gcText(told));
    return 0;
  }),
});

/** A collection as the command tells it. */
interface Told extends Omit<Collected, "manifests"> {
  readonly dryRun: boolean;
  readonly manifests: readonly { readonly path: string; readonly there: boolean }[];
}

function gcLine(store: string, { removals, ...told }: Told): string {
  const listed = removals.map(({ used, ...one }) =>
    used > 0 ? { ...one, used: new Date(used) } : one
  );
  return `${JSON.stringify({ type: "gc", store, ...told, removals: listed })}\n`;
}

function gcText(
  { dryRun, removals, before, after, artifacts, reachable, manifests }: Told,
): string {
  const table = removals.length === 0 ? [] : [formatTable(
    ["room", "name", "stage", "last used", "frees", "why"],
    removals.map(rowOf),
  )];
  const freed = formatBytes(before - after);
  const lost = manifests.filter(({ there }) => !there).map(({ path }) => shortPath(path));
  const lines = [
    `${dryRun ? "Would free" : "Freed"} ${freed} of ${formatBytes(before)}`,
    `${count(artifacts, "artifact")} ${artifacts === 1 ? "stays" : "stay"}; runs of ` +
    `${count(manifests.length, "manifest")} use ${reachable}`,
    ...lost.length === 0
      ? []
      : [`Gone, but their runs are remembered: ${lost.join(", ")}; see --forget`],
  ];
  return `${[...table, lines.join("\n")].join("\n\n")}\n`;
}

function rowOf({ room, name, stage = "", used, bytes, why }: Removal): string[] {
  const date = used > 0 ? new Date(used).toISOString().slice(0, 16).replace("T", " ") : "";
  return [room, name.slice(0, 12), stage, date, formatBytes(bytes), why];
}

async function checkForget(store: string, manifests: ReadonlySet<string>): Promise<void> {
  const all = await runsByManifest(store);
  for (const manifest of manifests) {
    const runs = all.find(([run]) => run?.manifest === manifest);
    if (runs === undefined) {
      throw new UsageError(`Cannot forget ${manifest}: the store remembers no run of it`);
    }
    for (const run of runs) {
      if (!await goesOn(store, run)) continue;
      throw new Error(`Cannot forget ${manifest}: process ${run.pid} is running it; stop it first`);
    }
  }
}

/** The keys that begin with the texts of `--keep`. */
async function keysOf(store: Store, texts: readonly string[]): Promise<Set<string>> {
  const keys = texts.length > 0 ? await store.keys() : [];
  return new Set(texts.flatMap((text) => {
    const found = keys.filter((key) => text !== "" && key.startsWith(text));
    if (found.length > 0) return found;
    throw new UsageError(`Cannot keep "${text}": no artifact's key begins so`);
  }));
}

function parseDays(text: string): number {
  const days = Number(text);
  if (text.trim() !== "" && Number.isFinite(days) && days >= 0) return days;
  throw new InvalidArgumentError(`Cannot read "${text}" as a number of days`);
}

function gather(text: string, before: readonly string[]): string[] {
  return [...before, text];
}
