import type { Verify } from "../store/damage.ts";
import { openRemote } from "../store/remote/open_remote.ts";
import type { Remote } from "../store/remote.ts";
import { Store } from "../store/store.ts";
import { type Flags, parseCap } from "./flags.ts";
import { UsageError } from "./told_error.ts";
import { dirname, join, resolve } from "node:path";

/** What stands for a manifest where a command is about the store of the current directory. */
export const HERE = "./manifest.yaml";

/** How large the store may be, where the options or the environment say so. */
export function sizeCap({ maxSize }: Flags): number | undefined {
  const environment = Deno.env.get("QUATTUOR_MAX_SIZE");
  if (maxSize !== undefined || !environment) return maxSize;
  try {
    return parseCap(environment);
  } catch (error) {
    throw new UsageError(`${(error as Error).message} (in QUATTUOR_MAX_SIZE)`);
  }
}

/** The store that the options, the environment or the place of a manifest name. */
export function openStore(manifest: string, { store: asked, verify }: Flags): Store {
  const environment = Deno.env.get("QUATTUOR_STORE");
  const path = storeDirectory(manifest, { asked, environment });
  return new Store(path, verify === undefined ? {} : { verify });
}

/**
 * The same store with the remote that the options or the environment name; `usual` is how far files
 * are looked at where no option says it, as the manifest has it.
 */
export async function openSharedStore(
  manifest: string,
  flags: Flags,
  { verify: usual }: { readonly verify?: Verify } = {},
): Promise<Store> {
  const remote = await remoteOf(flags);
  const verify = flags.verify ?? usual;
  return new Store(openStore(manifest, flags).path, { remote, ...verify && { verify } });
}

/** The remote that the options or the environment name, if they do. */
export async function remoteOf({ remote }: Flags): Promise<Remote | undefined> {
  const place = remote || Deno.env.get("QUATTUOR_REMOTE");
  if (!place) return undefined;
  return await openRemote(place).catch((error) => {
    throw error instanceof TypeError ? new UsageError(error.message) : error;
  });
}

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
