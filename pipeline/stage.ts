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

/** One run of one stage, as the stage sees it. `Tools` is whatever the program hands to the runner. */
export interface Job<Tools = unknown> {
  readonly tools: Tools;
  /** An empty directory; it becomes the output when `run` returns. */
  readonly out: string;
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
