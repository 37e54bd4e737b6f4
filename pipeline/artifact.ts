/** A finished, read-only directory in the store. `key` hashes its key document, `digest` its contents. */
export interface Artifact<Kind extends string = string> {
  readonly kind: Kind;
  readonly key: string;
  readonly digest: string;
  readonly path: string;
  /** Figures the stage reported, such as `{ error: 0.02 }`; empty for most kinds. */
  readonly scores: Readonly<Record<string, number>>;
}

/**
 * The key document: all that decides an artifact's bytes.
 *
 * `inputs` are content digests, not keys, so that an upstream step made again with the same bytes
 * changes nothing here. `params` are the validated ones without those that name a place.
 */
export interface KeyDocument {
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

/**
 * How much a note matters.
 *
 * `warning` and `result` are said again when the artifact is reused: what to beware of and what came
 * out. `detail` is for those who ask for it, and for machines.
 */
export type NoteLevel = "warning" | "result" | "detail";

/** Something a stage said while it made an artifact, kept with it. */
export interface Note {
  readonly text: string;
  readonly data?: Readonly<Record<string, unknown>>;
  /** Missing for what is worth reading while the work goes on. */
  readonly level?: NoteLevel;
  /** Seconds since the step began. */
  readonly at?: number;
}

/** What making an artifact took beside time; an artifact continued from a journal states its last part. */
export interface Metrics {
  /** Most bytes of memory the process held. */
  readonly rss: number;
  /** Most bytes of device memory it held, where it used a device. */
  readonly deviceBytes?: number;
  /** The device it ran on. */
  readonly adapter?: string;
  /** When each part of the work was first named by its progress, in seconds. */
  readonly laps?: readonly { readonly part: string; readonly at: number }[];
}

/** What `artifact.json` states about the directory it lies in. */
export interface ArtifactRecord {
  readonly key: string;
  readonly kind: string;
  readonly recipe: KeyDocument;
  /** Sha256 over the sorted list of files. */
  readonly digest: string;
  readonly files: readonly FileRecord[];
  /** Time the stage took. */
  readonly seconds: number;
  readonly scores: Readonly<Record<string, number>>;
  readonly notes: readonly Note[];
  readonly metrics?: Metrics;
  /** ISO 8601. */
  readonly created: string;
  /** Sha256 over the fields above, as canonical JSON. */
  readonly seal: string;
}
