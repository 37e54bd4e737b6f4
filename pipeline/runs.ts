import { join, resolve } from "node:path";
import type { Recipe } from "./artifact.ts";
import type { EndState, Summary } from "./event.ts";
import { readJson, replaceFile } from "./store/durable.ts";
import { sha256 } from "./store/hash.ts";

/** Runs of one manifest that are remembered. */
const KEPT = 50;

/** What a run did with one step; `waiting` ones were not reached yet. */
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
  readonly recipe?: Recipe;
  /** Content digest of the artifact, if there is one. */
  readonly digest?: string;
}

/** What one run did: written when it begins, after every step and when it ends. */
export interface RunRecord {
  /** The time it began and a random part; file names and commands call it so. */
  readonly id: string;
  /** Absolute path. */
  readonly manifest: string;
  /** What the manifest's params stood for. */
  readonly params: Readonly<Record<string, unknown>>;
  /** ISO 8601. */
  readonly started: string;
  /** A run that is `running` and has no process any more was killed. */
  readonly state: "running" | "ok" | "failed" | "stopped";
  readonly seconds: number;
  readonly pid: number;
  /** What it ran on: versions, processor, adapter. */
  readonly environment: Readonly<Record<string, string>>;
  readonly steps: readonly StepRecord[];
  readonly scores: Summary["scores"];
}

/** The runs of one manifest in one store, the newest first. */
export class Runs {
  readonly #directory: string;
  readonly #manifest: string;
  readonly #before: readonly RunRecord[];
  #current: RunRecord | undefined;

  private constructor(directory: string, manifest: string, before: readonly RunRecord[]) {
    this.#directory = directory;
    this.#manifest = manifest;
    this.#before = before;
  }

  /** Reads what is remembered of a manifest. */
  static async open(store: string, manifest: string): Promise<Runs> {
    const full = resolve(manifest);
    const directory = join(store, "runs", sha256(full).slice(0, 16));
    return new Runs(directory, full, await readRuns(directory));
  }

  /** The key document a step had the last time it was made or reused. */
  last(step: string): Recipe | undefined {
    for (const { steps } of [...this.#current ? [this.#current] : [], ...this.#before]) {
      const found = steps.find(({ name }) => name === step);
      if (found?.recipe && (found.state === "run" || found.state === "hit")) return found.recipe;
    }
    return undefined;
  }

  /** Starts the record of a run. */
  async begin(facts: Pick<RunRecord, "params" | "environment" | "steps">): Promise<RunRecord> {
    const started = new Date().toISOString();
    const stamp = started.replaceAll(/[-:]|\.\d+Z$/g, "").replace("T", "-");
    for (const { id } of this.#before.slice(KEPT - 1)) {
      await Deno.remove(join(this.#directory, `${id}.json`)).catch(() => {});
    }
    return await this.#write({
      id: `${stamp}-${crypto.randomUUID().slice(0, 8)}`,
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

  /** Ends the record of the run that has begun. */
  async end(facts: Pick<RunRecord, "state" | "seconds" | "scores">): Promise<void> {
    await this.#change(facts);
  }

  async #change(facts: Partial<RunRecord>): Promise<void> {
    if (this.#current) await this.#write({ ...this.#current, ...facts });
  }

  /** Replaces the run's file; a store that cannot be written goes without. */
  async #write(record: RunRecord): Promise<RunRecord> {
    this.#current = record;
    const text = JSON.stringify(record, null, 1);
    await replaceFile(join(this.#directory, `${record.id}.json`), text).catch(() => {});
    return record;
  }
}

/** All runs a store remembers, the newest first. */
export async function allRuns(store: string): Promise<RunRecord[]> {
  const rooms = await names(join(store, "runs"));
  const runs = await Promise.all(rooms.map((room) => readRuns(join(store, "runs", room))));
  return runs.flat().sort(newestFirst);
}

async function readRuns(directory: string): Promise<RunRecord[]> {
  const files = (await names(directory)).filter((name) => /^[\w-]+\.json$/.test(name));
  const read = await Promise.all(files.map((name) => readJson(join(directory, name))));
  return (read.filter((one) => one !== undefined) as RunRecord[]).sort(newestFirst);
}

function newestFirst(a: RunRecord, b: RunRecord): number {
  return a.started < b.started ? 1 : -1;
}

async function names(directory: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(directory), ({ name }) => name).catch(() => []);
}
