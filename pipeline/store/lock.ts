import { setTimeout as sleep } from "node:timers/promises";

/** How long a waiting process sleeps between two tries. */
const PAUSE_MS = 50;

/**
 * Takes an advisory lock, waiting for another holder; dispose it to let go.
 *
 * The system lets go by itself when the holder dies, so that no lock is ever stale. The file stays:
 * removing it would let two holders lock two files of one name. `onWait` is called once, with the
 * process that holds the lock, if this one has to wait; `signal` ends the wait.
 */
export async function takeLock(
  path: string,
  { signal, onWait }: {
    readonly signal?: AbortSignal | undefined;
    readonly onWait?: ((holder: string) => void) | undefined;
  },
): Promise<Disposable> {
  for (let tries = 1;; tries++) {
    signal?.throwIfAborted();
    const lock = await tryLock(path);
    if (lock !== undefined) return lock;
    // By the second try the holder has surely written who it is.
    if (tries === 2) onWait?.((await Deno.readTextFile(path).catch(() => "")).trim() || "unknown");
    await sleep(PAUSE_MS, undefined, signal ? { signal } : {}).catch(() => {});
  }
}

/** Takes an advisory lock if nobody has it; undefined if somebody has. */
export async function tryLock(path: string): Promise<Disposable | undefined> {
  const file = await Deno.open(path, { create: true, read: true, write: true });
  try {
    if (!await file.tryLock(true)) {
      file.close();
      return undefined;
    }
    await file.truncate();
    await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}
