import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Waits until a directory's entries are on disk, where the system can say so. */
export async function syncDirectory(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using directory = await Deno.open(path);
  await directory.sync();
}

/** How often a move is tried on Windows, and the milliseconds before the second, each time twice as many. */
const [TRIES, PAUSE_MS] = [8, 10];

/**
 * Moves a file or directory. Windows refuses while another program, such as one that looks for viruses,
 * has it or what lies in it open for a moment: there it is tried for a second and a half.
 */
export async function move(
  from: string,
  to: string,
  { os = Deno.build.os, rename = Deno.rename }: {
    readonly os?: typeof Deno.build.os;
    readonly rename?: (from: string, to: string) => Promise<void>;
  } = {},
): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return await rename(from, to);
    } catch (error) {
      const held = error instanceof Deno.errors.PermissionDenied ||
        error instanceof Deno.errors.Busy;
      if (os !== "windows" || !held || tries === TRIES) throw error;
      await sleep(PAUSE_MS * 2 ** (tries - 1));
    }
  }
}

/**
 * Replaces a file in one move, so that readers see the old text or the new one.
 *
 * It is not synced: use it for what can be made again.
 */
export async function replaceFile(
  path: string,
  text: string,
  options: Pick<Deno.WriteFileOptions, "mode"> = {},
): Promise<void> {
  const next = `${path}.${crypto.randomUUID()}`;
  const write = () => Deno.writeTextFile(next, text, options);
  try {
    await write().catch(async (error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await Deno.mkdir(dirname(path), { recursive: true });
      await write();
    });
    await move(next, path);
  } catch (error) {
    await Deno.remove(next).catch(() => {});
    throw error;
  }
}

/** The JSON in a file, or undefined where there is no file or it cannot be read as JSON. */
export async function readOwnJson(path: string): Promise<unknown> {
  try {
    // Others may have put a pipe there, at which reading would wait for ever.
    if (!(await Deno.stat(path)).isFile) return undefined;
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (isNoFile(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Whether an error says that there is no file at a path: nothing, or a directory. */
export function isNoFile(error: unknown): boolean {
  const { NotFound, IsADirectory, NotADirectory } = Deno.errors;
  return [NotFound, IsADirectory, NotADirectory].some((kind) => error instanceof kind);
}
