/** A rule that an export breaks. */
export interface Breach {
  /** The tensor, or the linear before its parts' names; none where it is about the whole. */
  readonly tensor?: string;
  /** What is and what should be. */
  readonly rule: string;
}

/** What was found out about an export. */
export interface ExportCheck {
  /** The format it is in. */
  readonly format: string;
  /** Facts: a name and a value each. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** The model it was compared with, a path; none where there was none to be had. */
  readonly original?: string;
  /** The first breaches; `count` of them are there in all. */
  readonly breaches: readonly Breach[];
  readonly count: number;
  /** What the engine cannot run or runs otherwise, and what could not be checked; a sentence each. */
  readonly warnings: readonly string[];
}

/** How an export is checked. */
export interface ExportCheckOptions {
  /** A format, or an engine with or without a version: `vllm==0.33.0`; the format's rules alone unless said. */
  readonly target?: string;
  /** The model it was made from, by path and content digest, where the user names it. */
  readonly artifact?: { readonly path: string; readonly digest?: string };
  /** Finds an artifact with a content digest, where there is one. */
  find(digest: string): Promise<string | undefined>;
  readonly signal?: AbortSignal;
  progress?(done: number, total: number, note: string): void;
}

/** Checks a directory or a file against the rules of its format and what an engine reads. */
export type VerifyExport = (path: string, options: ExportCheckOptions) => Promise<ExportCheck>;
