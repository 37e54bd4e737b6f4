import type { z } from "zod";
import type { Artifact, NoteLevel } from "./artifact.ts";

/** `"stats"` is one artifact, `"stats?"` may be left out, `"stats[]"` is a list; `"stats[]?"` may be empty. */
export type Input<S extends string> = S extends `${infer K}[]?` ? readonly Artifact<K>[]
  : S extends `${infer K}?` ? Artifact<K> | undefined
  : S extends `${infer K}[]` ? readonly Artifact<K>[]
  : Artifact<S>;

/**
 * What headers tell of an artifact, enough to forecast what its readers take: plain data whose form
 * is the stage package's own, one form a kind.
 */
export type Facts = object;

/**
 * The facts of an input, in the shapes that artifacts come in; see {@linkcode Input}. `Forms` has the
 * form of each kind's facts.
 */
export type FactsOf<S extends string, Forms extends Readonly<Record<string, Facts>>> = S extends
  `${infer K}[]?` ? readonly Forms[K][]
  : S extends `${infer K}?` ? Forms[K] | undefined
  : S extends `${infer K}[]` ? readonly Forms[K][]
  : Forms[S];

/** What making an artifact will take at its peak, known before any work. */
export interface Forecast {
  readonly deviceBytes: number;
  /** Beside what the process holds anyway. */
  readonly hostBytes: number;
  /** Size of the artifact's files. */
  readonly diskBytes: number;
  /** Of those, what becomes links to files of the inputs and takes no room. */
  readonly linkedBytes?: number;
  /** What lies beside the artifact while it is made, such as a journal. */
  readonly workBytes?: number;
  /** About how long it takes, where the bounds tell how fast the machine is. */
  readonly seconds?: number;
  /** What forecasts of later steps need to know of the output. */
  readonly facts: Facts;
}

/** Content digests of files outside the store, remembered by path, size and time of change. */
export interface FileDigests {
  /** Sha256 of the file's bytes, as hex. */
  /** `before` is waited for before the file is read; what it throws is passed on. */
  digest(path: string, before?: () => Promise<unknown>): Promise<string>;
}

/**
 * What a stage keeps while it works, so that a run that was interrupted goes on where it was.
 *
 * It belongs to one key document: a run with any other finds it empty. What was kept is checked before it
 * is given back; what is damaged counts as not kept. It goes when the artifact is finished.
 */
export interface Journal {
  /** The value an earlier run kept under a name, else what `make` gives, which is kept. */
  recall<T>(name: string, make: () => Promise<T>): Promise<T>;
  /** The bytes kept under a name, or undefined. */
  read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Keeps bytes under a name: beyond a kill when this returns, beyond a power loss soon after. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Keeps a file that does not change any more, without a copy where the file system can. */
  keep(name: string, path: string): Promise<void>;
  /** Puts the file kept under a name to a path; false where there is none. */
  restore(name: string, path: string): Promise<boolean>;
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
  /** Says how far the work is; the terminal makes an ETA of it. `note` names the part, then details. */
  progress(done: number, total: number, note?: string): void;
  /**
   * Says something the user should read; `data` is the same for machines.
   *
   * A number `error` in the data is shown beside the progress until there is another.
   */
  note(text: string, data?: Readonly<Record<string, unknown>>, level?: NoteLevel): void;
}

/** What a stage may report beside its files. */
export interface Outcome {
  /** Figures for the summary and the artifact record. */
  readonly scores?: Readonly<Record<string, number>>;
}

/** What manifests, keys and plans know of a stage: all but its work. */
export interface StageDeclaration<
  Params,
  Inputs extends Readonly<Record<string, string>>,
  Output extends string,
> {
  readonly about: string;
  /** Raise it when the same key document would now give other bytes. */
  readonly version: number;
  readonly params: z.ZodType<Params>;
  readonly inputs: Inputs;
  readonly output: Output;
  /** Smallest useful parameters, before validation; the tests run them. */
  readonly example: unknown;
  /** Parameters that say where outside data lies; `fingerprint` stands for them in the key. */
  readonly places?: readonly (keyof Params & string)[];
  /**
   * Parameters that list names for the artifacts of an input, and that input.
   *
   * There must be as many as artifacts. In a sweep they grow as the input does.
   */
  readonly labels?: { readonly [P in keyof Params & string]?: keyof Inputs & string };
  /** Identity of what `run` reads outside the store, as canonical JSON; never a path. */
  fingerprint?(params: Params, files: FileDigests): Promise<unknown>;
}

/** What a stage does. */
export interface StageWork<
  Params,
  Inputs extends Readonly<Record<string, string>>,
  Tools = unknown,
  Forms extends Readonly<Record<string, Facts>> = Readonly<Record<string, Facts>>,
> {
  /**
   * What `run` would take, from headers alone; throws in a sentence what `run` would refuse.
   *
   * `memoryBytes` is how much of its data the work may keep in memory at once, `limits` what the
   * device allows, and `rates` how fast the machine is, in the forms that the program's bounds give
   * them; unknown of another machine, rates also where nobody asks for seconds.
   */
  forecast?(
    inputs: { readonly [N in keyof Inputs]: FactsOf<Inputs[N], Forms> },
    params: NoInfer<Params>,
    bounds: { readonly memoryBytes: number; readonly limits?: unknown; readonly rates?: unknown },
  ): Promise<Forecast> | Forecast;
  run(
    job: Job<Tools>,
    inputs: { readonly [N in keyof Inputs]: Input<Inputs[N]> },
    params: Params,
  ): Promise<Outcome | void>;
}

/** One kind of work: parameters and input artifacts to one output artifact. */
export interface Stage<
  Params,
  Inputs extends Readonly<Record<string, string>>,
  Output extends string,
  Tools = unknown,
  Forms extends Readonly<Record<string, Facts>> = Readonly<Record<string, Facts>>,
> extends StageDeclaration<Params, Inputs, Output>, StageWork<Params, Inputs, Tools, Forms> {}

/** A stage of any type, as a registry holds it. */
// deno-lint-ignore no-explicit-any -- a registry holds stages of every type; manifests check them at run time
export type AnyStage = Stage<any, any, string, any, any>;

/** Stages by the names manifests call them; the namespace of `stages/mod.ts` is one. */
export type Registry = Readonly<Record<string, AnyStage>>;
