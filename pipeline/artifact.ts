/** A finished, read-only directory in the store. `key` hashes its key document, `digest` its contents. */
export interface Artifact<Kind extends string = string> {
  readonly kind: Kind;
  readonly key: string;
  readonly digest: string;
  readonly path: string;
  /** Figures the stage reported, such as `{ perplexity: 19.13 }`; empty for most kinds. */
  readonly scores: Readonly<Record<string, number>>;
}

/**
 * The key document: all that decides an artifact's bytes.
 *
 * `inputs` are content digests, not keys, so that an upstream step made again with the same bytes
 * changes nothing here. `params` are the validated ones without those that name a place.
 */
export interface Recipe {
  readonly stage: string;
  readonly version: number;
  readonly params: unknown;
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  /** Identity of what the stage reads outside the store. */
  readonly fingerprint?: unknown;
}

/** One file of an artifact; `path` is relative to it, with forward slashes. */
export interface FileRecord {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

/** Something a stage said while it made an artifact; said again when the artifact is reused. */
export interface Note {
  readonly text: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** What `artifact.json` states about the directory it lies in. */
export interface ArtifactRecord {
  readonly key: string;
  readonly kind: string;
  readonly recipe: Recipe;
  /** Sha256 over the sorted list of files. */
  readonly digest: string;
  readonly files: readonly FileRecord[];
  /** Time the stage took. */
  readonly seconds: number;
  readonly scores: Readonly<Record<string, number>>;
  readonly notes: readonly Note[];
  /** ISO 8601. */
  readonly created: string;
  /** Sha256 over the fields above, as canonical JSON. */
  readonly seal: string;
}
