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

/** A file as its record states it. */
export interface Contents {
  readonly size: number;
  readonly sha256: string;
}

/** A file on this machine that is to have the recorded bytes. */
export interface LocalFile extends Contents {
  readonly path: string;
}

/** An object that is not what its name says, whatever is tried. */
export class WrongObject extends Error {
  override readonly name = "WrongObject";
}

/** What to throw for a local file that is not as it was recorded. */
export function wrongFile(path: string): Error {
  return new Error(`${path} has other bytes than recorded`);
}
