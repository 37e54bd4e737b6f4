import { basename, dirname, isAbsolute, relative, resolve } from "node:path";
import { z } from "zod";
import type { KeyDocument } from "../artifact.ts";
import { describeDifference } from "./difference.ts";
import { canonicalJson } from "../store/key.ts";
import type { Manifest, Step } from "../manifest/manifest.ts";
import { mapInputs } from "../manifest/needs.ts";
import type { Plan } from "./planner.ts";
import type { RunRecord, StepRecord } from "../store/runs.ts";
import type { Stored } from "../store/store.ts";
import { readOwnJson, replaceFile } from "../store/durable.ts";

/** What a manifest's artifacts were made from and what they are, as its lock file states it. */
export interface LockFile {
  readonly format: 1;
  readonly manifest: string;
  /** Digests of the files it was read from. */
  readonly sources: Readonly<Record<string, string>>;
  readonly params: Readonly<Record<string, unknown>>;
  readonly deno: string;
  readonly adapter?: string | undefined;
  readonly steps: Readonly<Record<string, LockedStep>>;
}

/** One step in a lock file. */
interface LockedStep {
  readonly stage: string;
  readonly version: number;
  readonly params: unknown;
  /** Names of steps. */
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  /** What it read outside the store. */
  readonly outside?: unknown;
  readonly key: string;
  readonly digest: string;
}

const hash: z.ZodString = z.string().regex(/^[0-9a-f]{64}$/);
const lockedStep: z.ZodType<LockedStep> = z.object({
  stage: z.string(),
  version: z.number(),
  params: z.unknown(),
  inputs: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  outside: z.unknown().optional(),
  key: hash,
  digest: hash,
});
const lockFile: z.ZodType<LockFile> = z.object({
  format: z.literal(1),
  manifest: z.string(),
  sources: z.record(z.string(), hash),
  params: z.record(z.string(), z.unknown()),
  deno: z.string(),
  adapter: z.string().optional(),
  steps: z.record(z.string(), lockedStep),
});

/** Where the lock file of a manifest lies. */
export function lockPath(manifest: string): string {
  return `${manifest}.lock.json`;
}

/** Reads a lock file; throws in a sentence where there is none that can be understood. */
export async function readLock(path: string): Promise<LockFile> {
  const read = lockFile.safeParse(await readOwnJson(path));
  if (read.success) return read.data;
  const there = await Deno.stat(path).then(() => true, () => false);
  const [issue] = read.error.issues;
  const why = there
    ? `it is not as run --lock writes it${issue?.path.length ? ` at ${issue.path.join(".")}` : ""}`
    : "there is no such file";
  throw new Error(`Cannot read the lock file ${path}: ${why}; write it with run --lock`);
}

/**
 * States what a good run made from what.
 *
 * `earlier` are runs that may have made what this one reused; they tell the adapters it was made on.
 */
export function lockOf(
  { path, params, sources, steps }: Manifest,
  { record, earlier }: { readonly record: RunRecord; readonly earlier: readonly RunRecord[] },
): LockFile {
  const home = dirname(resolve(path));
  const locked = steps.map((step) => {
    const made = record.steps.find(({ name }) => name === step.name);
    const { key, recipe, digest } = made ?? {};
    if (!key || !recipe || !digest) {
      throw new Error(`Cannot lock ${path}: step "${step.name}" has no artifact; run all steps`);
    }
    const { stage, version, params, fingerprint } = recipe;
    const facts: LockedStep = {
      stage,
      version,
      params,
      inputs: wiring(step),
      ...fingerprint !== undefined && { outside: fingerprint },
      key,
      digest,
    };
    return [step.name, facts] as const;
  });
  const adapters = [...new Set(record.steps.flatMap((step) => adaptersOf(step, earlier)))].sort();
  return {
    format: 1,
    manifest: basename(path),
    sources: Object.fromEntries(sources.map((one) => [near(resolve(one.path), home), one.sha256])),
    params: Object.fromEntries(
      Object.entries(params).map(([name, value]) => [name, portable(value, home)]),
    ),
    deno: Deno.version.deno,
    ...adapters.length > 0 && { adapter: adapters.join(", ") },
    steps: Object.fromEntries(locked),
  };
}

/** Writes a lock file, its names sorted, so that only what changed shows as a change. */
export async function writeLock(path: string, lock: LockFile): Promise<void> {
  const text = `${JSON.stringify(JSON.parse(canonicalJson(lock)), null, 2)}\n`;
  try {
    if (await Deno.readTextFile(path).catch(() => "") !== text) await replaceFile(path, text);
  } catch (error) {
    throw new Error(`Cannot write the lock file ${path}: ${(error as Error).message}`);
  }
}

/** Throws, before any work, where a manifest is no longer what its lock file says, and names all. */
export function refuseDrift(
  manifest: Manifest,
  { locked, plan }: { readonly locked?: LockFile | undefined; readonly plan: Plan },
): void {
  const drift = locked ? findDrift(manifest, { locked, plan }) : [];
  if (drift.length === 0) return;
  throw new Error(
    `Cannot run ${manifest.path} as locked: ${drift.join("; ")}; accept it with run --lock`,
  );
}

/** What an artifact must be to be accepted in a locked run; accepts all where nothing is locked. */
export function accepting(
  locked: LockFile | undefined,
  { environment }: { environment(): Promise<RunRecord["environment"]> },
): (step: Step, stored: Stored) => Promise<void> {
  return async ({ name }, { artifact: { digest }, record: { metrics } }) => {
    const was = locked?.steps[name];
    if (!locked || !was || was.digest === digest) return;
    const adapter = metrics?.adapter ?? (await environment()).adapter;
    const here = machine({ adapter, deno: Deno.version.deno });
    const there = machine(locked);
    throw new Error(
      `Cannot accept step "${name}" as locked: its digest is ${short(digest)} on ${here}, ` +
        `expected ${short(was.digest)} as on ${there}; accept it with run --lock`,
    );
  };
}

/** Every difference between a lock file and a plan, in words with both values. */
function findDrift(
  { steps }: Manifest,
  { locked, plan }: { readonly locked: LockFile; readonly plan: Plan },
): string[] {
  const names = new Set(steps.map(({ name }) => name));
  const gone = Object.keys(locked.steps).filter((name) => !names.has(name));
  const drift = steps.flatMap((step) => {
    const document = plan.documents.get(step.name);
    const was = locked.steps[step.name];
    if (was === undefined) return [`step ${step.name} is not in the lock file`];
    if (document === undefined) return [];
    const wired = canonicalJson(was.inputs) === canonicalJson(wiring(step));
    const { stage, version, params, outside: fingerprint, key } = was;
    // Digests of inputs differ only where a step before differs, which is named there.
    const before: KeyDocument = { stage, version, params, inputs: {}, fingerprint };
    const changes = describeDifference(before, { ...document, inputs: {} });
    const artifact = plan.artifacts.get(step.name);
    const other = artifact?.key === key && artifact.digest !== was.digest;
    return [
      ...changes === "" ? [] : [`step ${step.name}: ${changes}`],
      ...wired ? [] : [`step ${step.name}: inputs ${words(was.inputs)} → ${words(wiring(step))}`],
      ...other
        ? [`step ${step.name}: digest ${short(was.digest)} → ${short(artifact.digest)}`]
        : [],
    ];
  });
  return [...drift, ...gone.map((name) => `step ${name} is in the lock file only`)];
}

/** What the artifact of a step was made on, as far as it or the run that made it tells. */
function adaptersOf({ key, adapter }: StepRecord, runs: readonly RunRecord[]): string[] {
  const maker = runs.find(({ steps }) =>
    steps.some((step) => step.key === key && step.state === "run")
  );
  return [adapter ?? maker?.environment.adapter ?? []].flat();
}

function wiring({ inputs }: Step): Record<string, string | string[]> {
  return mapInputs(inputs, (feed: string) => feed);
}

/** Data in which no text is an absolute path, so that it is the same in another directory. */
function portable(value: unknown, home: string): unknown {
  if (typeof value === "string") return isAbsolute(value) ? near(value, home) : value;
  if (Array.isArray(value)) return value.map((item) => portable(item, home));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, portable(item, home)]),
  );
}

function near(path: string, home: string): string {
  return relative(home, path).replaceAll("\\", "/");
}

function words(inputs: LockedStep["inputs"]): string {
  return canonicalJson(inputs);
}

function machine(
  { adapter = "no adapter", deno }: {
    readonly adapter?: string | undefined;
    readonly deno: string;
  },
): string {
  return `${adapter} with Deno ${deno}`;
}

function short(digest: string): string {
  return `${digest.slice(0, 8)}…`;
}
