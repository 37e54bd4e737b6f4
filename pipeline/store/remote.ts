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
