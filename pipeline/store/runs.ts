import { dirname, join, resolve } from "node:path";
import type { KeyDocument } from "../artifact.ts";
import type { EndState, StepCost, Summary } from "../event.ts";
import { readOwnJson, replaceFile } from "./durable.ts";
import { sha256 } from "./hash.ts";
import { isHeld, type Lock, tryLock } from "./lock.ts";
import { openOwnDirectory, OWN_FILE } from "./owner_only.ts";

/** Runs of one manifest that are remembered. */
const KEPT = 50;

/**
 * What a run did with one step; `waiting` ones were not reached yet.
 *
 * A `skipped` one has the key, key document, digest and cost of its artifact in the last run that had one.
 */
export interface StepRecord {
  readonly name: string;
  readonly stage: string;
  readonly state: EndState | "waiting";
  /** Why it was made or reused, in words. */
  readonly reason: string;
  readonly seconds: number;
  /** Names of the steps that feed each input. */
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  /** Known of steps that were begun. */
  readonly key?: string;
  /** The document behind the key. */
  readonly recipe?: KeyDocument;
  /** Content digest of the artifact, if there is one. */
  readonly digest?: string;
  /** What the artifact took when it was made. */
  readonly cost?: StepCost;
  /** The device the artifact was made on, where it says so. */
  readonly adapter?: string;
  /** Why a failed one failed, in a sentence. */
  readonly failure?: string;
}

/** What one run did: written when it begins, after every step and when it ends. */
export interface RunRecord {
  /** The time it began and a random part; file names and commands call it so. */
  readonly id: string;
  /** Counts the runs of its manifest: a clock may jump. */
  readonly turn: number;
  /** Absolute path. */
  readonly manifest: string;
  /** The manifest and the files it extends, as they were: absolute paths and their sha256. */
  readonly sources?: readonly { readonly path: string; readonly sha256: string }[];
  /** What the manifest's params stood for. */
  readonly params: Readonly<Record<string, unknown>>;
  /** ISO 8601. */
  readonly started: string;
  /** A run that is `running` and does not go on, see {@linkcode goesOn}, was killed. */
  readonly state: "running" | "ok" | "failed" | "stopped";
  readonly seconds: number;
  readonly pid: number;
  /** What it ran on: versions, processor, adapter. */
  readonly environment: Readonly<Record<string, string>>;
  /** Names of the steps the user asked for, where not for all. */
  readonly selected?: readonly string[];
  readonly steps: readonly StepRecord[];
  readonly scores: Summary["scores"];
}

/** The runs of one manifest in one store, the newest first. */
export class Runs {
  readonly #directory: string;
  readonly #manifest: string;
  readonly #before: readonly RunRecord[];
  #current: RunRecord | undefined;
  /** Held as long as the run goes on, so that others see that it does. */
  #alive: Lock | undefined;

  private constructor(directory: string, manifest: string, before: readonly RunRecord[]) {
    this.#directory = directory;
    this.#manifest = manifest;
    this.#before = before;
  }

  /** Reads what is remembered of a manifest. */
  static async open(store: string, manifest: string): Promise<Runs> {
    const full = resolve(manifest);
    const directory = directoryOf(store, full);
    return new Runs(directory, full, await readRuns(directory));
  }

  /** All of them, the one that has begun first. */
  get all(): readonly RunRecord[] {
    return [...this.#current ? [this.#current] : [], ...this.#before];
  }

  /** What is known of a step from the last run that had its artifact. */
  lastStep(step: string): StepRecord | undefined {
    return this.records(step).next().value ?? undefined;
  }

  /** The key document a step had the last time it was made or reused. */
  last(step: string): KeyDocument | undefined {
    return this.lastStep(step)?.recipe;
  }

  /** What is known of a step from all runs that had its artifact, the newest first. */
  *records(step: string): Generator<StepRecord> {
    for (const run of this.all) {
      const found = indexOf(run).byName.get(step);
      if (found?.recipe && found.digest) yield found;
    }
  }

  /** The key of an artifact with these contents, if a run had one. */
  keyOf(digest: string): string | undefined {
    for (const run of this.all) {
      const found = indexOf(run).byDigest.get(digest);
      if (found) return found.key;
    }
    return undefined;
  }

  /** Starts the record of a run. */
  async begin(
    facts: Pick<RunRecord, "params" | "environment" | "steps" | "selected" | "sources">,
  ): Promise<RunRecord> {
    const started = new Date().toISOString();
    const stamp = started.replaceAll(/[-:]|\.\d+Z$/g, "").replace("T", "-");
    const good = this.#before.find(({ state }) => state === "ok");
    for (const { id } of this.#before.slice(KEPT - 1)) {
      if (id !== good?.id) await removeRun(this.#directory, id);
    }
    const id = `${stamp}-${crypto.randomUUID().slice(0, 8)}`;
    this.#alive = await holdLock(this.#directory, id);
    return await this.#write({
      id,
      turn: 1 + Math.max(0, ...this.#before.map(({ turn }) => turn)),
      manifest: this.#manifest,
      started,
      state: "running",
      seconds: 0,
      pid: Deno.pid,
      scores: {},
      ...facts,
    });
  }

  /** Adds what is known of a step of the run that has begun. */
  async note(step: string, facts: Partial<StepRecord>): Promise<void> {
    const steps = this.#current?.steps ?? [];
    await this.#change({
      steps: steps.map((one) => one.name === step ? { ...one, ...facts } : one),
    });
  }

  /** Adds what is known of the machine by now. */
  async describe(environment: RunRecord["environment"]): Promise<void> {
    if (Object.keys(environment).length === 0) return;
    const before = this.#current?.environment;
    await this.#change({ environment: { ...before, ...environment } });
  }

  /** Ends the record of the run that has begun. */
  async end(facts: Pick<RunRecord, "state" | "seconds" | "scores">): Promise<void> {
    await this.#change(facts);
    await this.#alive?.remove();
  }

  async #change(facts: Partial<RunRecord>): Promise<void> {
    if (this.#current) await this.#write({ ...this.#current, ...facts });
  }

  /** Replaces the run's file; a store that cannot be written goes without. */
  async #write(record: RunRecord): Promise<RunRecord> {
    this.#current = record;
    const text = JSON.stringify(record);
    const sealed = `${text.slice(0, -1)},"seal":"${sha256(text)}"}`;
    const path = join(this.#directory, `${record.id}.json`);
    await replaceFile(path, sealed, { mode: OWN_FILE }).catch(() => {});
    return record;
  }
}

/** The steps of a run by what is asked for; of equal digests the first. */
interface StepIndex {
  readonly byName: ReadonlyMap<string, StepRecord>;
  readonly byDigest: ReadonlyMap<string, StepRecord>;
}

const indices = new WeakMap<RunRecord, StepIndex>();

/** Plans ask for every step. */
function indexOf(run: RunRecord): StepIndex {
  const known = indices.get(run);
  if (known) return known;
  const byDigest = new Map<string, StepRecord>();
  for (const step of run.steps.toReversed()) {
    if (step.digest !== undefined) byDigest.set(step.digest, step);
  }
  const index = { byName: new Map(run.steps.map((step) => [step.name, step])), byDigest };
  indices.set(run, index);
  return index;
}

/** All runs a store remembers, the newest first. */
export async function allRuns(store: string): Promise<RunRecord[]> {
  return (await runsByManifest(store)).flat().sort((a, b) => a.started < b.started ? 1 : -1);
}

/** The runs a store remembers of each manifest, the newest first whatever the clock said. */
export async function runsByManifest(store: string): Promise<RunRecord[][]> {
  const manifests = await names(join(store, "runs"));
  const runs = await Promise.all(manifests.map((name) => readRuns(join(store, "runs", name))));
  return runs.filter(({ length }) => length > 0);
}

/** Whether a run has a process that is at work, on any machine that shares the store's locks. */
export async function goesOn(store: string, { id, manifest, state }: RunRecord): Promise<boolean> {
  return state === "running" && await isHeld(join(directoryOf(store, manifest), `${id}.lock`));
}

/** Forgets all runs of a manifest, so that they keep no artifact any more; false if there are none. */
export async function forgetRuns(store: string, manifest: string): Promise<boolean> {
  const directory = directoryOf(store, resolve(manifest));
  return await Deno.remove(directory, { recursive: true }).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}

function directoryOf(store: string, manifest: string): string {
  return join(store, "runs", sha256(manifest).slice(0, 16));
}

async function readRuns(directory: string): Promise<RunRecord[]> {
  const files = (await names(directory)).filter((name) => /^[\w-]+\.json$/.test(name));
  const read = await Promise.all(
    files.map((name) => readOwnJson(join(directory, name)).catch(() => undefined)),
  );
  return read.flatMap((one) => asRun(one) ?? [])
    .sort((a, b) => b.turn - a.turn || (a.started < b.started ? 1 : -1));
}

/** What JSON says of a run, unless it was damaged since it was written. */
function asRun(value: unknown): RunRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { seal, ...run } = value as RunRecord & { readonly seal?: string };
  const texts = [run.id, run.manifest, run.started, run.state];
  if (!texts.every((text) => typeof text === "string") || !Array.isArray(run.steps)) {
    return undefined;
  }
  return seal === undefined || seal === sealOf(run) ? { ...run, turn: run.turn ?? 0 } : undefined;
}

/** Sha256 over all fields of a record, in the order they are written in. */
function sealOf(run: RunRecord): string {
  return sha256(JSON.stringify(run));
}

/** Shows that a run goes on; a store that cannot be written goes without. */
async function holdLock(directory: string, id: string): Promise<Lock | undefined> {
  for (const path of [dirname(directory), directory]) await openOwnDirectory(path).catch(() => {});
  return await tryLock(join(directory, `${id}.lock`)).catch(() => undefined);
}

async function removeRun(directory: string, id: string): Promise<void> {
  for (const suffix of ["json", "lock"]) {
    await Deno.remove(join(directory, `${id}.${suffix}`)).catch(() => {});
  }
}

async function names(directory: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(directory), ({ name }) => name).catch(() => []);
}
