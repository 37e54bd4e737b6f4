import { dirname } from "node:path";

/** Rights on a file that nobody but its owner reads, whatever the umask. */
export const OWN_FILE = 0o600;

const OWN_DIRECTORY = 0o700;

/** Makes a directory, or takes one that is there, that nobody but its owner looks into. */
export async function openOwnDirectory(path: string): Promise<void> {
  openOwnDirectorySync(path);
  await ownOnly(path, OWN_DIRECTORY);
}

/** The same without a look at the rights that one has which was there. */
export function openOwnDirectorySync(path: string): void {
  Deno.mkdirSync(dirname(path), { recursive: true });
  Deno.mkdirSync(path, { mode: OWN_DIRECTORY, recursive: true });
}

/**
 * Takes rights that others have on something away; one that is another user's stays as it is, and one
 * that somebody has removed meanwhile has none.
 */
export async function ownOnly(path: string, mode: number): Promise<void> {
  if (Deno.build.os === "windows") return;
  let now = mode;
  try {
    now = Deno.statSync(path).mode ?? mode;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if ((now & 0o777 & ~mode) !== 0) await Deno.chmod(path, mode).catch(() => {});
}
