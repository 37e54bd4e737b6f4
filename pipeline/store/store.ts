import { join, resolve } from "node:path";
import type { Artifact, ArtifactRecord, KeyDocument, Metrics, Note } from "../artifact.ts";
import { FileJournal } from "./journal.ts";
import { keyOf } from "./key.ts";
import type { Remote } from "./remote.ts";
import { secondsSince } from "../words.ts";
import { messageOf } from "../errors.ts";
import type { Journal } from "../stage.ts";
import { sealFiles } from "./contents.ts";
import { checkFiles, type Verify } from "./damage.ts";
import { download } from "./download.ts";
import { move, syncDirectory } from "./durable.ts";
import { type Lock, takeLock, tryLock } from "./lock.ts";
import { readRecord, sealedRecord, writeRecord } from "./record.ts";
import {
  entriesOf,
  isDirectory,
  isThere,
  KEY,
  keyIn,
  openDirectories,
  openTemporary,
  removeAll,
} from "./directories.ts";
import { Owed } from "./owed.ts";
import { filling, storing } from "./trouble.ts";
import { type States, Verified } from "./verified.ts";

/** An artifact with its record. */
export interface Stored {
  readonly artifact: Artifact;
  readonly record: ArtifactRecord;
}

/** What lies under a key here: nothing, an artifact as it was recorded, or one that was tampered with. */
type Look =
  | { readonly state: "absent" }
  | { readonly state: "whole"; readonly stored: Stored }
  | { readonly state: "damaged"; readonly why: string };

/** What a remote has where nothing whole lies here, or why it cannot be asked. */
interface Elsewhere {
  readonly remote?: Stored;
  readonly trouble?: string;
}

/**
 * What lies under a key.
 *
 * `remote`: nothing here, but the remote has it and `make` would fetch it; the artifact states the
 * path it would have. So it does where a damaged one has a `remote`.
 */
export type Inspection =
  | Exclude<Look, { readonly state: "damaged" | "absent" }>
  | { readonly state: "absent"; readonly trouble?: string }
  | { readonly state: "remote"; readonly stored: Stored }
  | { readonly state: "damaged"; readonly why: string } & Elsewhere;

/** What a stage left beside its files. */
export interface Made {
  readonly scores: Readonly<Record<string, number>>;
  readonly notes: readonly Note[];
  readonly metrics?: Metrics;
}

/** How `make` fills a directory, and whom it tells what. */
export interface MakeOptions {
  readonly kind: string;
  /** Writes the files of the artifact into an empty directory; the journal has what an interrupted try kept. */
  write(directory: string, journal: Journal): Promise<Made>;
  /** Makes the artifact even if it is there. */
  readonly again?: boolean;
  /** Goes on from the journal even then: it is of an earlier try at the same. */
  readonly resume?: boolean;
  /** What works at it, as far as its bits may differ from another's. */
  machine?(): Promise<string | undefined>;
  /** Ends the wait for another process, and for a remote. */
  readonly signal?: AbortSignal;
  /** Another process is making the same artifact. */
  onWait?(holder: string): void;
  /** A damaged artifact was moved out of the way. */
  onQuarantine?(why: string, path: string): void;
  /** Something of interest happened with the remote; none of it keeps the artifact from being made. */
  onNote?(text: string): void;
}

/** How a store is used. */
export interface StoreOptions {
  readonly verify?: Verify;
  /** Where artifacts that are not here may be, and where those made here go. */
  readonly remote?: Remote | undefined;
}

/**
 * Artifacts by key, in a directory. An artifact appears whole or not at all.
 *
 * It is written under `tmp/` and synced, its record last, and one rename moves it to
 * `artifacts/<key>`. Equal files are one in `files/`, `verified/` remembers what was read, a lock per
 * key makes two processes share the work, and a journal per key keeps what interrupted work had
 * finished. Nothing is written before the first `make`, and nothing but `artifacts/` needs to be kept.
 */
export class Store {
  readonly path: string;
  readonly #verify: Verify;
  readonly #remote: Remote | undefined;
  readonly #verified: Verified;
  readonly #owed: Owed;

  constructor(path: string, { verify = "stat", remote }: StoreOptions = {}) {
    this.path = resolve(path);
    this.#verify = verify;
    this.#remote = remote;
    this.#verified = new Verified(this.#place("verified"));
    this.#owed = new Owed(this.#place("owed"));
  }

  /** The artifact of a key document, if it is there and whole. */
  async find(document: KeyDocument): Promise<Stored | undefined> {
    const found = await this.inspect(keyOf(document));
    return found.state === "whole" ? found.stored : undefined;
  }

  /** Looks at what lies under a key and changes nothing but the memory of what was read. */
  async inspect(key: string): Promise<Inspection> {
    const found = await this.#look(key);
    if (found.state === "whole") return found;
    const { remote, trouble } = await this.#lookElsewhere(key);
    const told = trouble === undefined ? {} : { trouble };
    if (remote === undefined) return { ...found, ...told };
    return found.state === "damaged" ? { ...found, remote } : { state: "remote", stored: remote };
  }

  /** Keys under which something lies, whole or not. */
  async keys(): Promise<string[]> {
    const entries = await entriesOf(this.#place("artifacts"));
    return entries.map(({ name }) => name).filter((name) => KEY.test(name)).sort();
  }

  /**
   * The artifact of a key document: as it is here, else from the remote, else made now; `made` says which.
   *
   * A damaged one is moved to `quarantine/` and replaced. What `write` throws is passed on, and
   * nothing is left of its directory.
   */
  async make(
    document: KeyDocument,
    options: MakeOptions,
  ): Promise<Stored & { readonly made: boolean }> {
    const key = keyOf(document);
    const stored = await this.#settle(document, { ...options, key });
    // The lock is let go first: others need not wait for the network.
    if (stored.made) await this.#push(stored.artifact, options);
    return stored;
  }

  /**
   * Copies an artifact that is here to the remote, where it was made for that remote and is not known
   * to be there: whoever made it was killed before, or could not.
   */
  async settle(artifact: Artifact, options: Pick<MakeOptions, "signal" | "onNote">): Promise<void> {
    const remote = this.#remote;
    if (remote === undefined || !await this.#owed.has(artifact.key, remote.name)) return;
    if (!await this.#push(artifact, options)) return;
    options.onNote?.(`Copied to ${remote.name}, which an earlier run has not done`);
  }

  /** Copies an artifact that is here and whole to the remote; throws where that cannot be. */
  async push({ key, path }: Artifact, signal?: AbortSignal): Promise<void> {
    await this.#remote?.push(key, path, signal);
    await this.#owed.settle(key);
  }

  /** Moves what lies under a key to `quarantine/`; gives its path there. */
  async quarantine(key: string): Promise<string> {
    return await storing(this.path, async () => {
      await openDirectories(this.path);
      using _lock = await takeLock(this.#place("locks", key), {});
      return await this.#putAside(key);
    });
  }

  /** Removes what processes that died have left in `tmp/`; what is being written is let be. */
  async sweep(): Promise<void> {
    for (const { name } of await entriesOf(this.#place("tmp"))) {
      const key = keyIn(name);
      if (key === undefined) continue;
      // Whoever writes the directory holds the key's lock, and loses it only by dying.
      using lock = await tryLock(this.#place("locks", key)).catch(() => undefined);
      if (lock) await removeAll(this.#place("tmp", name));
    }
  }

  async #lookElsewhere(key: string): Promise<Elsewhere> {
    try {
      const record = await this.#remote?.record(key);
      return record ? { remote: this.#stored(record) } : {};
    } catch (error) {
      return { trouble: messageOf(error) };
    }
  }

  async #look(key: string): Promise<Look> {
    const path = this.#place("artifacts", key);
    if (!await isThere(path)) return { state: "absent" };
    const read = await readRecord(path, key);
    if ("why" in read) return { state: "damaged", why: read.why };
    const { record } = read;
    const verify = this.#verify;
    const known = await this.#verified.recall(record, { kept: verify === "stat" });
    // Once a process is enough for the strictest, too: states tell whether anything changed since.
    const how = verify === "full" && known.length > 0 ? "stat" : verify;
    const found = await checkFiles(path, { files: record.files, known, verify: how });
    if ("why" in found) return { state: "damaged", why: found.why };
    if (verify !== "size") await this.#verified.keep(record, found.states);
    return { state: "whole", stored: this.#stored(record) };
  }

  async #settle(
    document: KeyDocument,
    options: MakeOptions & { readonly key: string },
  ): Promise<Stored & { readonly made: boolean }> {
    const { key, again } = options;
    using _lock = await this.#lock(key, options);
    const found = await this.#look(key);
    if (found.state === "whole" && !again) return { ...found.stored, made: false };
    if (found.state === "damaged") {
      options.onQuarantine?.(found.why, await storing(this.path, () => this.#putAside(key)));
    }
    const fetched = again ? undefined : await this.#fetch(key, options);
    if (fetched) return { ...fetched, made: false };
    return { ...await this.#write(document, options), made: true };
  }

  async #lock(key: string, options: Pick<MakeOptions, "signal" | "onWait">): Promise<Lock> {
    return await storing(this.path, async () => {
      await openDirectories(this.path);
      return await takeLock(this.#place("locks", key), options);
    });
  }

  /** Makes an artifact whose lock is held. */
  async #write(
    document: KeyDocument,
    { key, kind, write, again, resume, ...owner }: MakeOptions & { readonly key: string },
  ): Promise<Stored> {
    const journal = this.#place("journal", key);
    // Whoever asks for an artifact again does not trust what was kept of it.
    if ((again && !resume) || !await isDirectory(journal)) await removeAll(journal);
    await using directory = await openTemporary(this.path, key);
    const { path } = directory;
    const start = performance.now();
    const machine = await owner.machine?.();
    const onForeign = (other: string) =>
      owner.onNote?.(
        `What an earlier try kept is left alone: it was made on ${other}, and this is ${machine}`,
      );
    await using entries = new FileJournal(journal, key, { machine, onForeign });
    const made = await filling(this.path, () => write(path, entries));
    const seconds = secondsSince(start);
    const record = await storing(this.path, async () => {
      const { files, states } = await sealFiles(path, this.#place("files"));
      const record = sealedRecord({ key, kind, recipe: document, files, seconds, ...made });
      await writeRecord(path, record);
      if (this.#remote) await this.#owed.add(key, this.#remote.name);
      await this.#publish(path, { record, states });
      return record;
    });
    await removeAll(journal);
    return this.#stored(record);
  }

  /** Gets an artifact whose lock is held from the remote, if it is there and whole. */
  async #fetch(key: string, { signal, onNote }: MakeOptions): Promise<Stored | undefined> {
    const remote = this.#remote;
    if (remote === undefined) return undefined;
    await using directory = await openTemporary(this.path, key);
    const { path } = directory;
    const shared = this.#place("files");
    try {
      const got = await filling(
        this.path,
        () => download(remote, { key, directory: path, shared, signal }),
      );
      if (got === undefined) return undefined;
      await this.#publish(path, got);
      onNote?.(`Fetched from ${remote.name}`);
      return this.#stored(got.record);
    } catch (error) {
      signal?.throwIfAborted();
      onNote?.(`Cannot use what ${remote.name} has of it: ${messageOf(error)}; it is made here`);
      return undefined;
    }
  }

  /** Copies an artifact to the remote if that can be, and says whether it is there. */
  async #push(
    artifact: Artifact,
    { signal, onNote }: Pick<MakeOptions, "signal" | "onNote">,
  ): Promise<boolean> {
    return await this.push(artifact, signal).then(() => true, (error) => {
      onNote?.(`Cannot copy it to ${this.#remote?.name}: ${messageOf(error)}; it is here only`);
      return false;
    });
  }

  async #publish(
    directory: string,
    { record, states }: { readonly record: ArtifactRecord; readonly states: States },
  ): Promise<void> {
    const place = this.#place("artifacts", record.key);
    await using former = await openTemporary(this.path, record.key);
    if (await isThere(place)) await move(place, join(former.path, "former"));
    await move(directory, place);
    await syncDirectory(this.#place("artifacts"));
    await this.#verified.keep(record, states);
  }

  async #putAside(key: string): Promise<string> {
    const aside = this.#place("quarantine", `${key}.${crypto.randomUUID().slice(0, 8)}`);
    await move(this.#place("artifacts", key), aside);
    await this.#verified.forget(key);
    // From now on it grows old.
    await Deno.utime(aside, new Date(), new Date()).catch(() => {});
    return aside;
  }

  #stored(record: ArtifactRecord): Stored {
    const { kind, key, digest, scores } = record;
    return {
      artifact: { kind, key, digest, scores, path: this.#place("artifacts", key) },
      record,
    };
  }

  #place(...names: readonly string[]): string {
    return join(this.path, ...names);
  }
}
