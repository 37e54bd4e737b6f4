import { setTimeout as sleep } from "node:timers/promises";
import { withoutSecrets } from "../secrets.ts";
import { OWN_FILE, ownOnly } from "./owner_only.ts";

/** How long a waiting process sleeps between two tries. */
const PAUSE_MS = 50;
/** Letters of a command that a lock tells. */
const COMMAND_LENGTH = 160;

/** A lock that is held; dispose it to let go. */
export interface Lock extends Disposable {
  /** Removes the file and lets go; whoever waits makes a new one. */
  remove(): Promise<void>;
}

/**
 * Takes an advisory lock, waiting for another holder; dispose it to let go.
 *
 * The system lets go by itself when the holder dies, so that no lock is ever stale. `onWait` is
 * called once, with the process, host and command that hold the lock, if this one has to wait;
 * `signal` ends the wait.
 */
export async function takeLock(
  path: string,
  { signal, onWait }: {
    readonly signal?: AbortSignal | undefined;
    readonly onWait?: ((holder: string) => void) | undefined;
  },
): Promise<Lock> {
  for (let tries = 1;; tries++) {
    signal?.throwIfAborted();
    const lock = await tryLock(path);
    if (lock !== undefined) return lock;
    // By the second try the holder has surely written who it is.
    if (tries === 2) onWait?.(await holderOf(path));
    await sleep(PAUSE_MS, undefined, signal ? { signal } : {}).catch(() => {});
  }
}

/** Takes an advisory lock if nobody has it; undefined if somebody has. */
export async function tryLock(path: string): Promise<Lock | undefined> {
  const file = await openLock(path);
  try {
    // A file that was removed since it was opened locks nothing that others would see.
    if (!await file.tryLock(true) || !await lies(file, path)) {
      file.close();
      return undefined;
    }
  } catch (error) {
    file.close();
    throw error;
  }
  await sign(file).catch(() => {});
  let open = true;
  const letGo = () => {
    if (open) file.close();
    open = false;
  };
  return {
    [Symbol.dispose]: letGo,
    remove: async () => {
      if (open) await Deno.remove(path).catch(() => {});
      letGo();
    },
  };
}

/** Whether somebody holds a lock; makes no file. */
export async function isHeld(path: string): Promise<boolean> {
  const file = await Deno.open(path, { read: true, write: true }).catch(() => undefined);
  if (file === undefined) return false;
  try {
    return !await file.tryLock(true);
  } finally {
    file.close();
  }
}

async function openLock(path: string): Promise<Deno.FsFile> {
  try {
    const file = await Deno.open(path, { create: true, read: true, write: true, mode: OWN_FILE });
    await ownOnly(path, OWN_FILE);
    return file;
  } catch (error) {
    if (!(error instanceof Deno.errors.IsADirectory)) throw error;
    throw new Error(`Cannot lock ${path}: it is a directory, expected a file; remove it`);
  }
}

/** Whether an open file is what lies at a path; where the system numbers no files, whether one lies there. */
async function lies(file: Deno.FsFile, path: string): Promise<boolean> {
  const [held, there] = [file.statSync(), await Deno.stat(path).catch(() => undefined)];
  if (there === undefined) return false;
  return !held.ino || !there.ino || held.ino === there.ino;
}

async function holderOf(path: string): Promise<string> {
  return (await Deno.readTextFile(path).catch(() => "")).trim() || "unknown";
}

/** Writes who holds a lock; on a full disk it stays unknown. */
async function sign(file: Deno.FsFile): Promise<void> {
  file.truncateSync();
  await file.write(new TextEncoder().encode(`${thisProcess()}\n`));
}

/** The words before the first option: options may hold what is nobody else's business. */
function thisProcess(): string {
  const first = Deno.args.findIndex((word) => word.startsWith("-"));
  const own = first < 0 ? Deno.args : Deno.args.slice(0, first);
  const words = withoutSecrets(own.join(" ")).replaceAll(/\s+/g, " ").slice(0, COMMAND_LENGTH);
  return `${Deno.pid} on ${Deno.hostname()}${words === "" ? "" : ` (${words})`}`;
}
