/** A file as the system tells it without reading it; other bytes come with another state. */
export interface FileState {
  readonly size: number;
  readonly inode: number;
  /** Time of the last change, in milliseconds. */
  readonly changed: number;
  /** Time the inode was made, in milliseconds, or 0 where the system does not say; a copy has its own. */
  readonly born: number;
}

/** Changes closer together than a tick of the file system's clock may carry one time. */
const TICK_MS = 20;
/** The tick where times come in whole seconds. */
const COARSE_TICK_MS = 2000;

/** The state of a file. */
export function fileStateOf(info: Deno.FileInfo): FileState {
  return {
    size: info.size,
    inode: info.ino ?? 0,
    // A system that tells no time gives a state that no later one equals.
    changed: info.mtime?.getTime() ?? Date.now(),
    born: info.birthtime?.getTime() ?? 0,
  };
}

/** Whether nothing shows that the bytes behind two states are different. */
export function sameState(a: FileState, b: FileState): boolean {
  return a.size === b.size && a.inode === b.inode && a.changed === b.changed && a.born === b.born;
}

/**
 * Milliseconds until a change would show, for someone who begins to read the bytes at a time.
 *
 * Times in the future count as long past: a later change gives another time all the same.
 */
export function unsettled({ changed }: FileState, at: number): number {
  const tick = changed % 1000 === 0 ? COARSE_TICK_MS : TICK_MS;
  return Math.max(0, tick - Math.abs(at - changed));
}
