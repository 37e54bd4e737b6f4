import { dirname, join } from "node:path";
import { type Emit, eventLine, type RunEvent } from "../event.ts";
import { sha256 } from "../store/hash.ts";
import { openOwnDirectorySync, OWN_FILE } from "../store/owner_only.ts";

/** Bytes of a log from which on it takes nothing but how the step ends. */
const LIMIT = 2 ** 20;
/** Between two lines of progress. */
const PROGRESS_MS = 1000;

/** Where a step's events lie while it is made, and afterwards if it failed or was stopped or killed. */
export function logPath(
  store: string,
  { run, step }: { readonly run: string; readonly step: string },
): string {
  // The labels of a sweep may hold what some file systems refuse.
  const name = step.toWellFormed().replaceAll(/[^\w.,=[\]-]/gu, encodeURIComponent);
  const short = name.length > 200 ? `${name.slice(0, 180)}.${sha256(step).slice(0, 16)}` : name;
  return join(store, "logs", run, `${short}.ndjson`);
}

/**
 * Passes events on, and keeps those of every step at work in a file, line by line as they happen.
 *
 * A file goes when its step is finished, whose artifact has the notes; events of steps that failed or
 * were stopped name theirs. A store that cannot be written goes without.
 */
export function keepingLogs(
  emit: Emit,
  { store, run }: { readonly store: string; readonly run: string },
): Emit {
  const logs = new Map<string, StepLog>();
  return (event) => {
    if (event.type === "start") {
      if (logs.size === 0) sweepLogs(store);
      const { step, key } = event;
      logs.set(step, new StepLog(logPath(store, { run, step }), join(store, "journal", key)));
    }
    const log = "step" in event ? logs.get(event.step) : undefined;
    emit(log?.take(event) ?? event);
  };
}

class StepLog {
  readonly #path: string;
  /** Where the journal of the step lies; the next run goes on from what is there. */
  readonly #journal: string;
  #file: Deno.FsFile | undefined;
  #bytes = 0;
  #told = -Infinity;

  constructor(path: string, journal: string) {
    this.#path = path;
    this.#journal = journal;
    try {
      openOwnDirectorySync(dirname(dirname(path)));
      openOwnDirectorySync(dirname(path));
      this.#file = Deno.openSync(path, { create: true, append: true, mode: OWN_FILE });
    } catch {
      this.#file = undefined;
    }
  }

  /** Keeps an event; gives it back with what is known of the step's files. */
  take(event: RunEvent): RunEvent {
    const log = this.#file ? { log: this.#path } : {};
    switch (event.type) {
      case "progress":
        if (performance.now() - this.#told < PROGRESS_MS || this.#bytes > LIMIT) return event;
        this.#told = performance.now();
        this.#write(eventLine(event));
        return event;
      case "failed": {
        const { cause } = event.error;
        this.#write(eventLine(event, cause instanceof Error ? { stack: cause.stack } : {}));
        this.#close();
        return { ...event, ...log };
      }
      case "stopped":
        this.#write(eventLine(event));
        this.#close();
        return { ...event, kept: holds(this.#journal), ...log };
      case "done":
      case "reuse":
        this.#close();
        remove(this.#path);
        // The last one of a run takes the directory along.
        remove(dirname(this.#path));
        return event;
      default:
        if (this.#bytes <= LIMIT) this.#write(eventLine(event));
        return event;
    }
  }

  #write(line: string): void {
    const bytes = new TextEncoder().encode(line);
    this.#bytes += bytes.length;
    try {
      for (let at = 0; at < bytes.length;) {
        at += this.#file?.writeSync(bytes.subarray(at)) ?? Infinity;
      }
    } catch {
      // A full disk must not end a step that does not need it.
      this.#close();
    }
  }

  #close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

/** Removes the logs of runs that are not remembered any more. */
function sweepLogs(store: string): void {
  const runs = new Set(
    list(join(store, "runs")).flatMap((name) => list(join(store, "runs", name)))
      .map((name) => name.replace(/\.json$/, "")),
  );
  for (const run of list(join(store, "logs"))) {
    if (!runs.has(run)) remove(join(store, "logs", run), { recursive: true });
  }
}

function holds(journal: string): boolean {
  return list(journal).some((name) => !name.endsWith(".next"));
}

function list(path: string): string[] {
  try {
    return Array.from(Deno.readDirSync(path), ({ name }) => name);
  } catch {
    return [];
  }
}

function remove(path: string, options: Deno.RemoveOptions = {}): void {
  try {
    Deno.removeSync(path, options);
  } catch {
    // It is used by others, or not there.
  }
}
