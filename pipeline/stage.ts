import type { z } from "zod";
import type { Artifact } from "./artifact.ts";

/** `"stats"` is one artifact, `"stats?"` may be left out, `"stats[]"` is a list. */
export type Input<S extends string> = S extends `${infer K}?` ? Artifact<K> | undefined
  : S extends `${infer K}[]` ? readonly Artifact<K>[]
  : Artifact<S>;

/** Content digests of files outside the store, remembered by path, size and time of change. */
export interface FileDigests {
  /** Sha256 of the file's bytes, as hex. */
  digest(path: string): Promise<string>;
}

/**
 * What a stage keeps while it works, so that a run that was interrupted goes on where it was.
 *
 * It belongs to one recipe: a run with any other finds it empty. What was kept is checked before it
 * is given back; what is damaged counts as not kept. It goes when the artifact is finished.
 */
export interface Journal {
  /** The value an earlier run kept under a name, else what `make` gives, which is kept. */
  recall<T>(name: string, make: () => Promise<T>): Promise<T>;
  /** The bytes kept under a name, or undefined. */
  read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Keeps bytes under a name; they are on disk when this returns. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Lets go of what is kept under a name, if anything. */
  remove(name: string): Promise<void>;
}

/** One run of one stage, as the stage sees it. `Tools` is whatever the program hands to the runner. */
export interface Job<Tools = unknown> {
  readonly tools: Tools;
  /** An empty directory; it becomes the output when `run` returns. */
  readonly out: string;
  /** Keeps finished parts of long work; the stage itself decides what a part is. */
  readonly journal: Journal;
  /** Aborts when the user asks to stop; the stage throws `signal.reason` at the next good moment. */
  readonly signal: AbortSignal;
  /** Says how far the work is; the terminal makes an ETA of it. */
  progress(done: number, total: number, note?: string): void;
  /** Says something the user should read; `data` is the same for machines. */
  note(text: string, data?: Readonly<Record<string, unknown>>): void;
}

/** What a stage may report beside its files. */
export interface Outcome {
  /** Figures for the summary and the artifact record. */
  readonly scores?: Readonly<Record<string, number>>;
}

/** One kind of work: parameters and input artifacts to one output artifact. */
export interface Stage<
  Params,
  Inputs extends Readonly<Record<string, string>>,
  Output extends string,
  Tools = unknown,
> {
  readonly about: string;
  /** Raise it when the same recipe would now give other bytes. */
  readonly version: number;
  readonly params: z.ZodType<Params>;
  readonly inputs: Inputs;
  readonly output: Output;
  /** Smallest useful parameters, before validation; the tests run them on the tiny model. */
  readonly example: unknown;
  /** Parameters that say where outside data lies; `fingerprint` stands for them in the key. */
  readonly places?: readonly (keyof Params & string)[];
  /** Identity of what `run` reads outside the store, as canonical JSON; never a path. */
  fingerprint?(params: Params, files: FileDigests): Promise<unknown>;
  run(
    job: Job<Tools>,
    inputs: { readonly [N in keyof Inputs]: Input<Inputs[N]> },
    params: Params,
  ): Promise<Outcome | void>;
}

/** A stage of any type, as a registry holds it. */
// deno-lint-ignore no-explicit-any -- a registry holds stages of every type; manifests check them at run time
export type AnyStage = Stage<any, any, string, any>;

/** Stages by the names manifests call them; the namespace of `stages/mod.ts` is one. */
export type Registry = Readonly<Record<string, AnyStage>>;
