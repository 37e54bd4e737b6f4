import type { Command } from "commander";
import { type LockFile, lockPath, readLock } from "../plan/lock_file.ts";
import { UsageError } from "./told_error.ts";

/** Adds the option that holds a command to a lock file. */
export function addLockedOption(command: Command): Command {
  return command.option("--locked", "refuse what is not as <manifest>.lock.json states it");
}

/** What `--lock` and `--locked` ask for: a file to write, or what everything must be. */
export async function readLocks(
  manifest: string,
  { own: { lock, locked }, selected }: {
    readonly own: Readonly<Record<string, unknown>>;
    readonly selected: ReadonlySet<string> | undefined;
  },
): Promise<{ readonly lock?: string; readonly locked?: LockFile }> {
  if (lock && locked) {
    throw new UsageError("Cannot take --lock and --locked: one writes what the other holds to");
  }
  if (lock && selected) {
    throw new UsageError("Cannot lock a part of a manifest: expected --lock without a selection");
  }
  if (locked) return { locked: await readLock(lockPath(manifest)) };
  return lock ? { lock: lockPath(manifest) } : {};
}
