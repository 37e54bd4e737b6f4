import type { Setting } from "./override.ts";
import { ManifestError } from "./problem.ts";
import { type Resolved, resolveManifest } from "./resolve.ts";
import { readFile, type ReadText, type Source } from "./sources.ts";
import type { Data } from "./yaml_tree.ts";
import type { Registry } from "../stage.ts";

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
  /** All files it was read from, itself first; nothing is read again later. */
  readonly sources: readonly Source[];
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

/** Reads and checks a manifest file; see {@linkcode parseManifest}. */
export async function readManifest(
  path: string,
  options: Omit<ManifestOptions, "path">,
): Promise<Manifest> {
  return (await readResolved(path, options)).manifest;
}

/** Reads and checks a manifest file, and keeps where everything comes from. */
export function readResolved(
  path: string,
  options: Omit<ManifestOptions, "path">,
): Promise<Resolved> {
  const { read = readFile } = options;
  return Promise.try(() => {
    let text: string;
    try {
      text = read(path);
    } catch (error) {
      const message = `Cannot read the manifest: ${(error as Error).message}`;
      throw new ManifestError([{ source: path, message }]);
    }
    return resolveManifest(text, { ...options, path });
  });
}

/**
 * Checks a manifest against the stages there are, and fills in params and defaults.
 *
 * Throws a {@linkcode ManifestError} with everything that is wrong, and nothing else.
 */
export function parseManifest(text: string, options: ManifestOptions): Manifest {
  return resolveManifest(text, options).manifest;
}
