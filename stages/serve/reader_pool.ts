import { ApiError, queueFull, readTooLong, unavailable } from "./api_error.ts";
import type { ReadingKind, Readings, RequestReaders } from "./read.ts";
import type { FromReader, ToReader } from "./reader_messages.ts";
import type { ModelRules } from "./reading_rules.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";

/** Bytes from which a body is large: at such ones all readers but one may be at work. */
const LARGE = 64 << 10;

/** So many bodies of the largest size may wait for a reader, and so many of any. */
const [WAITING_BODIES, WAITING] = [4, 1024];

/** Bytes of heap from which a reader is replaced by a new one: an engine gives none back by itself. */
const HEAP = 256 << 20;

interface Job {
  readonly kind: ReadingKind;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly size: number;
  readonly done: PromiseWithResolvers<Readings[ReadingKind]>;
}

interface Reader {
  readonly worker: Worker;
  /** Whether it has its tokenizer; a body's time begins then. */
  ready: boolean;
  job: Job | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/**
 * Threads that read bodies of requests, so that none holds up others: parsing, templates, tokens.
 *
 * A reader reads one body at a time; one that takes longer than allowed is ended, and a new one
 * started when there is work for it. Large bodies never take the last reader.
 */
export class ReaderPool implements RequestReaders {
  readonly #rules: ModelRules;
  readonly #models: Extract<ToReader, { readonly type: "open" }>["models"];
  readonly #context: (at: number) => number;
  readonly #readers = new Set<Reader>();
  readonly #waiting: Job[] = [];
  #waitingBytes = 0;
  #closed = false;

  /** For one model or several; `context` is asked for at every body. */
  constructor(models: ModelRules | readonly ModelRules[], context: (at: number) => number) {
    const all = [models].flat();
    this.#rules = all[0]!;
    this.#context = context;
    const sources = new Map<object, Uint8Array<SharedArrayBuffer>>();
    this.#models = all.map(({ tokenizer, card: { name }, options, ...others }) => {
      const source = sources.get(tokenizer) ?? sharedSource(tokenizer);
      sources.set(tokenizer, source);
      // The key is nothing to them.
      const { apiKey: _, ...rest } = options;
      return { source, rules: { ...others, card: { name }, options: rest } };
    });
  }

  /** Starts all readers, which else start when there is work for them. */
  start(): void {
    while (this.#readers.size < this.#rules.options.readers) this.#open();
  }

  async read<Kind extends ReadingKind>(
    kind: Kind,
    body: Uint8Array<ArrayBuffer>,
    signal?: AbortSignal,
  ): Promise<Readings[Kind]> {
    signal?.throwIfAborted();
    const done = Promise.withResolvers<Readings[ReadingKind]>();
    const job = { kind, body, size: body.length, done };
    this.#checkRoom(job.size);
    this.#waiting.push(job);
    this.#waitingBytes += job.size;
    const leave = () => {
      const at = this.#waiting.indexOf(job);
      if (at >= 0) this.#take(at);
      done.reject(signal?.reason);
    };
    signal?.addEventListener("abort", leave);
    this.#assign();
    try {
      return await done.promise as Readings[Kind];
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const reader of this.#readers) this.#end(reader, closed());
    for (const { done } of this.#waiting.splice(0)) done.reject(closed());
  }

  #checkRoom(size: number): void {
    if (this.#closed) throw closed();
    const most = WAITING_BODIES * this.#rules.options.maxBody;
    if (this.#waiting.length < WAITING && this.#waitingBytes + size <= most) return;
    throw queueFull(
      `Cannot read the request: ${this.#waiting.length} of ${this.#waitingBytes} bytes wait to be ` +
        "read, which is as many as may; try again later",
    );
  }

  #take(at: number): Job {
    const [job] = this.#waiting.splice(at, 1);
    this.#waitingBytes -= job!.size;
    return job!;
  }

  /** Gives waiting bodies to readers, as far as there are any without work. */
  #assign(): void {
    for (;;) {
      const { readers } = this.#rules.options;
      const large = this.#readers.values().filter(({ job }) => job && job.size > LARGE);
      const mayBeLarge = large.toArray().length < Math.max(1, readers - 1);
      const at = this.#waiting.findIndex(({ size }) => mayBeLarge || size <= LARGE);
      if (at < 0) return;
      const idle = this.#readers.values().find(({ job }) => job === undefined);
      if (!idle && this.#readers.size >= readers) return;
      this.#give(idle ?? this.#open(), this.#take(at));
    }
  }

  #open(): Reader {
    const worker = new Worker(new URL("./reader_worker.ts", import.meta.url), { type: "module" });
    const reader: Reader = { worker, ready: false, job: undefined, timer: undefined };
    this.#readers.add(reader);
    worker.onmessage = ({ data }: MessageEvent<FromReader>) => this.#hear(reader, data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end(reader, new Error(`A reader of requests was lost: ${event.message}`));
    };
    tell(reader, { type: "open", models: this.#models });
    return reader;
  }

  #give(reader: Reader, job: Job): void {
    reader.job = job;
    const { kind, body } = job;
    const contexts = this.#models.map((_, at) => this.#context(at));
    tell(reader, { type: "read", kind, body, contexts }, [body.buffer]);
    if (reader.ready) this.#begin(reader);
  }

  #begin(reader: Reader): void {
    const { readTime } = this.#rules.options;
    reader.timer = setTimeout(() => this.#end(reader, readTooLong(readTime)), readTime * 1000);
  }

  #hear(reader: Reader, message: FromReader): void {
    const { job } = reader;
    if (message.type === "ready") {
      reader.ready = true;
      if (job) this.#begin(reader);
      return;
    }
    if (!reader.ready || !job) {
      const reason = message.type === "failed" ? message.reason : message.type;
      return this.#end(reader, new Error(`A reader of requests could not start: ${reason}`));
    }
    clearTimeout(reader.timer);
    reader.job = undefined;
    switch (message.type) {
      case "read":
        job.done.resolve(message.reading);
        break;
      case "refused":
        job.done.reject(ApiError.of(message.error));
        break;
      case "failed":
        job.done.reject(new Error(`A request could not be read: ${message.reason}`));
    }
    if (message.heap > HEAP) this.#replace(reader);
    else this.#assign();
  }

  #replace(reader: Reader): void {
    this.#readers.delete(reader);
    reader.worker.terminate();
    this.#open();
    this.#assign();
  }

  /** Ends a reader in the middle of whatever it does. */
  #end(reader: Reader, why: unknown): void {
    clearTimeout(reader.timer);
    reader.worker.terminate();
    this.#readers.delete(reader);
    reader.job?.done.reject(why);
    reader.job = undefined;
    if (!this.#closed) this.#assign();
  }
}

/** What a tokenizer is made of; shared, so that starting a reader holds up nobody. */
function sharedSource({ source: { texts, ...others } }: ServedTokenizer) {
  const bytes = new TextEncoder().encode(JSON.stringify({ ...others, texts: [...texts] }));
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return shared;
}

function closed(): ApiError {
  return unavailable("Cannot read the request: the server stops");
}

function tell({ worker }: Reader, message: ToReader, transfer: Transferable[] = []): void {
  worker.postMessage(message, transfer);
}
