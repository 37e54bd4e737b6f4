import type { Screen } from "./tell/terminal/screen.ts";

/** An artifact to be served, and what the store knows of it. */
export interface ServedArtifact {
  readonly path: string;
  readonly digest: string;
  /** What to call it: the step or the file it comes from. */
  readonly name: string;
  /** Artifacts that were made of it, such as evaluations: the stage and where they lie. */
  readonly made: readonly { readonly stage: string; readonly path: string }[];
}

/** How an artifact is served. */
export interface ServeCall {
  /** What the command line says, as commander reads it. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly memory?: number;
  readonly screen: Screen;
  readonly json: boolean;
  /** Aborts when the server is asked to stop: it then finishes what it has begun. */
  readonly signal: AbortSignal;
}

/** How a program serves artifacts. */
export interface Serving {
  /** The manifest that is run where nothing else is said; its last artifact of this kind is served. */
  readonly manifest: string;
  /** The manifest that brings in what is no artifact yet, as its param of this name. */
  readonly source: { readonly manifest: string; readonly param: string };
  /** The kind of artifact that is served. */
  readonly kind: string;
  /** Serves until the signal aborts; gives the exit status. */
  serve(artifact: ServedArtifact, call: ServeCall): Promise<number>;
}
