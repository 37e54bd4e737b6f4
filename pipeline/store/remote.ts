import { fileURLToPath } from "node:url";
import type { ArtifactRecord } from "../artifact.ts";

/**
 * Artifacts in another place, which several stores share.
 *
 * A directory given to it is one artifact's: its record and its files, possibly nested. What is
 * fetched is checked by the store.
 */
export interface Remote {
  /** How messages call it. */
  readonly name: string;
  /** Whether a key's record is there; it is written last. */
  has(key: string): Promise<boolean>;
  /** What an artifact states of itself, without its files; undefined where the key is not there. */
  record(key: string): Promise<ArtifactRecord | undefined>;
  /** Fills an empty directory; false where the key is not there. */
  fetch(key: string, directory: string, signal?: AbortSignal): Promise<boolean>;
  /** Copies an artifact there; what is there already does not travel again. */
  push(key: string, directory: string, signal?: AbortSignal): Promise<void>;
}

/** What opens a place, by scheme. */
const SCHEMES: Readonly<Record<string, (place: string) => Promise<Remote>>> = {
  "file:": (place) => openPath(fileURLToPath(place)),
  "s3:": async (place) => (await import("./remote/s3.ts")).openBucket(place),
};

/** Opens a directory, a `file:` URL or `s3://bucket/prefix`; throws a TypeError for any other place. */
export async function openRemote(place: string): Promise<Remote> {
  // Two letters at least: one is a drive.
  const scheme = /^[a-z][a-z0-9+.-]+:(?=\/)/i.exec(place)?.[0].toLowerCase();
  if (scheme === undefined) return await openPath(place);
  const open = SCHEMES[scheme];
  if (open) return await open(place);
  const known = Object.keys(SCHEMES).map((name) => `${name}//`).join(" or ");
  throw new TypeError(
    `Cannot open the remote ${place}: "${scheme}" is unknown, expected a directory, ${known}`,
  );
}

async function openPath(path: string): Promise<Remote> {
  return await (await import("./remote/directory.ts")).openDirectory(path);
}
