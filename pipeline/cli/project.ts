import { dirname, join, resolve } from "node:path";

/** What marks the top directory of a project. */
const MARKS = ["deno.json", ".git", ".quattuor"];

/** The directory of the store: as asked, else as the environment says, else in the project. */
export function storeDirectory(
  manifest: string,
  { asked, environment }: {
    readonly asked?: string | undefined;
    readonly environment?: string | undefined;
  },
): string {
  return resolve(asked || environment || join(projectRoot(manifest), ".quattuor"));
}

/** The nearest directory above a manifest that looks like a project, else the manifest's own. */
export function projectRoot(manifest: string): string {
  const start = dirname(resolve(manifest));
  for (let at = start;; at = dirname(at)) {
    if (MARKS.some((mark) => exists(join(at, mark)))) return at;
    if (at === dirname(at)) return start;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
