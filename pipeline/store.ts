import { join, resolve } from "node:path";
import type { Artifact, ArtifactRecord, Note, Recipe } from "./artifact.ts";
import { digestOf, findDamage, RECORD, sealFiles, sealOf } from "./store/contents.ts";
import { readJson, syncDirectory } from "./store/durable.ts";
import { keyOf } from "./key.ts";
import { secondsSince } from "./run/clock.ts";
import { FileJournal } from "./journal.ts";
import type { Journal } from "./stage.ts";
import { takeLock, tryLock } from "./store/lock.ts";

/** An artifact with its record. */
export interface Stored {
  readonly artifact: Artifact;
  readonly record: ArtifactRecord;
}

/** What lies under a key: nothing, an artifact as it was recorded, or one that was tampered with. */
export type Inspection =
  | { readonly state: "absent" }
  | { readonly state: "whole"; readonly stored: Stored }
  | { readonly state: "damaged"; readonly why: string };

/** What a stage left beside its files. */
export interface Made {
  readonly scores: Readonly<Record<string, number>>;
  readonly notes: readonly Note[];
}

/** How `make` fills a directory, and whom it tells what. */
export interface MakeOptions {
  readonly kind: string;
  /** Writes the files of the artifact into an empty directory; the journal has what an interrupted try kept. */
  write(directory: string, journal: Journal): Promise<Made>;
  /** Makes the artifact even if it is there. */
  readonly again?: boolean;
  /** Ends the wait for another process. */
  readonly signal?: AbortSignal;
  /** Another process is making the same artifact. */
  onWait?(holder: string): void;
  /** A damaged artifact was moved out of the way. */
  onQuarantine?(why: string, path: string): void;
}

/**
 * Artifacts by key, in a directory. An artifact appears whole or not at all.
 *
 * It is written under `tmp/` and synced, its record last, and one rename moves it to
 * `artifacts/<key>`. A lock per key makes two processes share the work, and a journal per key keeps
 * what interrupted work had finished. Nothing is written before the first `make`, and nothing but
 * `artifacts/` needs to be kept.
 */
export class Store {
  readonly path: string;
  readonly #verify: "size" | "full";
  /** Keys whose bytes this process has already compared. */
  readonly #verified = new Set<string>();

  constructor(path: string, { verify = "size" }: { readonly verify?: "size" | "full" } = {}) {
    this.path = resolve(path);
    this.#verify = verify;
  }

  /** The artifact of a recipe, if it is there and whole. */
  async find(recipe: Recipe): Promise<Stored | undefined> {
    const found = await this.inspect(keyOf(recipe));
    return found.state === "whole" ? found.stored : undefined;
  }

  /** Looks at what lies under a key and changes nothing. */
  async inspect(key: string): Promise<Inspection> {
    const path = this.#place("artifacts", key);
    if (!await isThere(path)) return { state: "absent" };
    const record = await readJson(join(path, RECORD)) as ArtifactRecord | undefined;
    if (record === undefined) return { state: "damaged", why: `${RECORD} is missing or no JSON` };
    if (record.key !== key || record.seal !== sealOf(record)) {
      return { state: "damaged", why: `${RECORD} is not as it was written` };
    }
    const verify = this.#verified.has(key) ? "size" : this.#verify;
    const why = await findDamage(path, { files: record.files, verify });
    if (why !== undefined) return { state: "damaged", why };
    this.#verified.add(key);
    return { state: "whole", stored: this.#stored(record) };
  }

  /**
   * The artifact of a recipe, made now unless it is there; `made` says which.
   *
   * A damaged one is moved to `quarantine/` and made again. What `write` throws is passed on, and
   * nothing is left of its directory.
   */
  async make(
    recipe: Recipe,
    options: MakeOptions,
  ): Promise<Stored & { readonly made: boolean }> {
    const key = keyOf(recipe);
    await this.#open();
    using _lock = await takeLock(this.#place("locks", key), options);
    const found = await this.inspect(key);
    if (found.state === "whole" && !options.again) return { ...found.stored, made: false };
    if (found.state === "damaged") {
      const aside = this.#place("quarantine", `${key}.${crypto.randomUUID().slice(0, 8)}`);
      await Deno.rename(this.#place("artifacts", key), aside);
      options.onQuarantine?.(found.why, aside);
    }
    const journal = this.#place("journal", key);
    // Whoever asks for an artifact again does not trust what was kept of it.
    if (options.again) await remove(journal);
    const directory = this.#temporary(key);
    await Deno.mkdir(directory);
    try {
      const start = performance.now();
      const made = await options.write(directory, new FileJournal(journal, key));
      const seconds = secondsSince(start);
      const record = await seal(directory, { key, kind: options.kind, recipe, seconds, ...made });
      await this.#publish(directory, key);
      await remove(journal);
      return { ...this.#stored(record), made: true };
    } finally {
      await remove(directory);
    }
  }

  /** Removes what processes that died have left in `tmp/`; what is being written is let be. */
  async sweep(): Promise<void> {
    for (const { name } of await list(this.#place("tmp"))) {
      const key = /^([0-9a-f]{64})\./.exec(name)?.[1];
      if (key === undefined) continue;
      // Whoever writes the directory holds the key's lock, and loses it only by dying.
      using lock = await tryLock(this.#place("locks", key)).catch(() => undefined);
      if (lock) await remove(this.#place("tmp", name));
    }
  }

  async #open(): Promise<void> {
    for (const room of ["artifacts", "tmp", "locks", "quarantine"]) {
      await Deno.mkdir(this.#place(room), { recursive: true });
    }
    // Nobody means to commit gigabytes.
    const ignored = this.#place(".gitignore");
    await Deno.writeTextFile(ignored, "*\n", { createNew: true }).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  }

  async #publish(directory: string, key: string): Promise<void> {
    const place = this.#place("artifacts", key);
    const former = this.#temporary(key);
    if (await isThere(place)) await Deno.rename(place, former);
    await Deno.rename(directory, place);
    await syncDirectory(this.#place("artifacts"));
    await remove(former);
    this.#verified.add(key);
  }

  #stored(record: ArtifactRecord): Stored {
    const { kind, key, digest, scores } = record;
    return {
      artifact: { kind, key, digest, scores, path: this.#place("artifacts", key) },
      record,
    };
  }

  #temporary(key: string): string {
    return this.#place("tmp", `${key}.${Deno.pid}.${crypto.randomUUID().slice(0, 8)}`);
  }

  #place(...names: readonly string[]): string {
    return join(this.path, ...names);
  }
}

async function remove(directory: string): Promise<void> {
  await Deno.remove(directory, { recursive: true }).catch(() => {});
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function list(path: string): Promise<Deno.DirEntry[]> {
  return await Array.fromAsync(Deno.readDir(path)).catch(() => []);
}

/** Makes a written directory durable, its record last. */
async function seal(
  directory: string,
  facts: Omit<ArtifactRecord, "digest" | "files" | "created" | "seal">,
): Promise<ArtifactRecord> {
  const files = await sealFiles(directory);
  const created = new Date().toISOString();
  const stated = { ...facts, digest: digestOf(files), files, created };
  const record: ArtifactRecord = { ...stated, seal: sealOf(stated) };
  const path = join(directory, RECORD);
  {
    using file = await Deno.open(path, { createNew: true, write: true });
    const bytes = new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  }
  if (Deno.build.os !== "windows") await Deno.chmod(path, 0o444);
  await syncDirectory(directory);
  return record;
}
