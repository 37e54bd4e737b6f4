import type { Expectation } from "./expectations.ts";
import type { Setting } from "./override.ts";
import type { ReadText, SourceFile } from "./sources.ts";
import type { Data } from "./yaml_tree.ts";
import type { Registry } from "../stage.ts";
import type { Verify } from "../store/damage.ts";

/** One validated node of a run. */
export interface Step {
  /** As the file has it; a step of a sweep has its values in brackets: `smoothed[alpha=0.2]`. */
  readonly name: string;
  /** The stage's name in the registry. */
  readonly stage: string;
  /** As the stage's schema gave them, with its defaults. */
  readonly params: unknown;
  /** Names of the steps that feed each input. */
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  /** The file that names the step, and the line there. */
  readonly source: string;
  readonly line: number;
}

/** A checked manifest; its steps are in an order where inputs come first. */
export interface Manifest {
  readonly path: string;
  /** What the params stand for in this run; a list of their values where they are swept. */
  readonly params: Readonly<Record<string, Data>>;
  readonly steps: readonly Step[];
  /** How far artifacts are looked at before they are reused, where it says so. */
  readonly verify?: Verify;
  /** What scores must be, where it says so. */
  readonly expect?: readonly Expectation[];
  /** The manifest that somebody would take next, where it is not this one. */
  readonly next?: string;
  /** All files it was read from, itself first; nothing is read again later. */
  readonly sources: readonly SourceFile[];
}

/** What a manifest is checked against. */
export interface ManifestOptions {
  /** Name of the file in messages; what it extends lies relative to it. */
  readonly path: string;
  readonly stages: Registry;
  /** What `--set` and `--set-json` say: `name=value` or `step.key=value`. */
  readonly set?: readonly Setting[];
  /** Reads the files that it extends; from the disk unless said. */
  readonly read?: ReadText;
}
