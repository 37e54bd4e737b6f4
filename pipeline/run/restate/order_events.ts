import { dirname, join } from "node:path";
import type { Note } from "../../artifact.ts";
import type { RunEvent } from "../../event.ts";
import { openOwnDirectory, OWN_FILE } from "../../store/owner_only.ts";
import { ORDERS_DIRECTORY } from "./wire.ts";

/** What a worker tells of an order while it works at it. */
export type OrderEvent = RunEvent & { readonly type: "note" | "progress" | "quarantined" };

/** How long a worker gathers events before it writes them; each write may travel to a file server. */
const GATHER_MS = 250;

/** Files that nobody removed, since who ordered was killed, go after this. */
const STALE_MS = 30 * 24 * 3600 * 1000;

/** Where the events of an order lie in a store. */
export function eventsPath(store: string, id: string): string {
  return join(store, ORDERS_DIRECTORY, `${id}.ndjson`);
}

/** What a worker says when it begins with the stage of an order. */
export function byWhom(worker: string): Note {
  const [host, pid] = [Deno.hostname(), Deno.pid];
  return { text: `Made by ${worker} on ${host}, process ${pid}`, data: { worker, host, pid } };
}

/** Whether a worker has begun with the stage of an order before. */
export async function wasBegun(path: string): Promise<boolean> {
  const lines = (await Deno.readTextFile(path).catch(() => "")).split("\n");
  return lines.map(parse).some((event) => event?.type === "note" && event.data?.worker);
}

/**
 * Writes the events of an order into the shared store.
 *
 * They are hints for who waits, so that a file that is gone or cannot be written costs nothing but
 * them. Dispose it to write the last.
 */
export class OrderEventWriter implements AsyncDisposable {
  readonly #path: string;
  #gathered: OrderEvent[] = [];
  #writing: Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(path: string) {
    this.#path = path;
    // A worker that was killed may have left half a line.
    this.#writing = this.#append("\n");
  }

  /** Takes an event; of progress only the newest is kept. */
  tell(event: OrderEvent): void {
    if (event.type === "progress" && this.#gathered.at(-1)?.type === "progress") {
      this.#gathered.pop();
    }
    this.#gathered.push(event);
    this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#flush();
    await this.#writing;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = this.#gathered.map((event) => `${JSON.stringify(event)}\n`).join("");
    this.#gathered = [];
    if (lines !== "") this.#writing = this.#writing.then(() => this.#append(lines));
  }

  async #append(text: string): Promise<void> {
    await Deno.writeTextFile(this.#path, text, { append: true, create: false }).catch(() => {});
  }
}

/** Reads the events of an order as they are written; dispose it to remove them. */
export class OrderEventReader implements AsyncDisposable {
  readonly #path: string;
  #offset = 0;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Makes the file that a worker will write to. */
  static async open(store: string, id: string): Promise<OrderEventReader> {
    const path = eventsPath(store, id);
    await openOwnDirectory(dirname(path));
    await removeStale(dirname(path));
    await Deno.writeTextFile(path, "", { createNew: true, mode: OWN_FILE });
    return new OrderEventReader(path);
  }

  /** What was written since the last time. */
  async read(): Promise<OrderEvent[]> {
    // Opened each time: that is when a network file system looks for what others wrote.
    using file = await Deno.open(this.#path).catch(() => undefined);
    if (file === undefined) return [];
    await file.seek(this.#offset, Deno.SeekMode.Start);
    const bytes = new Uint8Array(await new Response(file.readable).arrayBuffer());
    const whole = bytes.lastIndexOf("\n".charCodeAt(0)) + 1;
    this.#offset += whole;
    const lines = new TextDecoder().decode(bytes.subarray(0, whole)).split("\n");
    return lines.flatMap((line) => parse(line) ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#path).catch(() => {});
  }
}

function parse(line: string): OrderEvent | undefined {
  try {
    const event = JSON.parse(line);
    return ["note", "progress", "quarantined"].includes(event?.type) ? event : undefined;
  } catch {
    return undefined;
  }
}

async function removeStale(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(directory)) {
    const path = join(directory, name);
    const { mtime } = await Deno.stat(path).catch(() => ({ mtime: null }));
    if (mtime && Date.now() - mtime.getTime() > STALE_MS) await Deno.remove(path).catch(() => {});
  }
}
