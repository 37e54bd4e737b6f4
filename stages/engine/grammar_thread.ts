import type { Constraint, Grammar, Grammars, Vocabulary } from "./grammar.ts";
import type { FromGrammars, ToGrammars } from "./grammar_messages.ts";

/** Grammars that may be at fault before the thread is started anew: each leaves memory behind. */
const MOST_ABORTS = 64;

/** How a thread of grammars behaves. */
export interface GrammarThreadOptions {
  /** Seconds that a grammar may take until its first tokens are known. */
  readonly seconds: number;
}

/** An answer under way. */
interface Open {
  readonly id: number;
  readonly grammar: Grammar;
  /** Tokens so far. */
  readonly tokens: number[];
  allowed: Uint32Array | undefined;
  along: readonly Uint32Array[];
  failure: string | undefined;
  settled: PromiseWithResolvers<void>;
}

/**
 * A thread that compiles grammars and says which tokens may come next, so that neither holds up the
 * engine.
 *
 * It works at one thing at a time: whoever compiles longer than allowed is refused, and the thread is
 * started anew with the other answers as far as they had come.
 */
export class GrammarThread implements Grammars {
  readonly #vocabulary: Vocabulary;
  readonly #options: GrammarThreadOptions;
  readonly #open = new Map<number, Open>();
  #worker: Worker | undefined;
  /** Answers whose first tokens are found out, in their order. */
  #compiling: Open[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #aborts = 0;
  #nextId = 1;
  /** What the thread is told of when this turn ends, by answer: that of a step together. */
  #accepted = new Map<number, { readonly tokens: number[]; draft: readonly number[] }>();

  constructor(vocabulary: Vocabulary, options: GrammarThreadOptions) {
    this.#vocabulary = vocabulary;
    this.#options = options;
  }

  open(grammar: Grammar): Constraint {
    if (this.#aborts >= MOST_ABORTS && this.#open.size === 0) this.#stop();
    const one: Open = {
      id: this.#nextId++,
      grammar,
      tokens: [],
      allowed: undefined,
      along: [],
      failure: undefined,
      settled: Promise.withResolvers(),
    };
    this.#open.set(one.id, one);
    if (!this.#worker) this.#start();
    this.#begin(one);
    const close = () => this.#close(one);
    return {
      get allowed() {
        return one.allowed;
      },
      get along() {
        return one.along;
      },
      get failure() {
        return one.failure;
      },
      accept: (token) => {
        one.allowed = undefined;
        one.settled = Promise.withResolvers();
        one.tokens.push(token);
        one.along = [];
        if (this.#accepted.size === 0) queueMicrotask(() => this.#pass());
        const before = this.#accepted.get(one.id)?.tokens ?? [];
        this.#accepted.set(one.id, { tokens: [...before, token], draft: [] });
      },
      follow: (draft) => {
        const accepted = this.#accepted.get(one.id);
        if (accepted) accepted.draft = draft;
      },
      settled: () => one.settled.promise,
      [Symbol.dispose]: close,
    };
  }

  [Symbol.dispose](): void {
    for (const one of this.#open.values()) fail(one, "the engine was closed");
    this.#open.clear();
    this.#stop();
  }

  /** Passes on what was accepted. */
  #pass(): void {
    const answers = [...this.#accepted].map(([id, accepted]) => ({ id, ...accepted }))
      .filter(({ id }) => this.#open.has(id));
    this.#accepted.clear();
    if (answers.length > 0) this.#tell({ type: "accept", answers });
  }

  #start(): void {
    const worker = new Worker(new URL("./grammar_worker.ts", import.meta.url), { type: "module" });
    this.#worker = worker;
    this.#aborts = 0;
    worker.onmessage = ({ data }: MessageEvent<FromGrammars>) => {
      if (worker === this.#worker) this.#hear(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker === this.#worker) this.#restart(event.message);
    };
    this.#tell({ type: "vocabulary", vocabulary: this.#vocabulary });
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#compiling = [];
  }

  #begin(one: Open): void {
    const { id, grammar, tokens } = one;
    this.#tell({ type: "open", id, grammar, tokens });
    this.#compiling.push(one);
    if (this.#compiling.length === 1) this.#watch();
  }

  /** Watches the time of the grammar that is compiled now. */
  #watch(): void {
    clearTimeout(this.#timer);
    const { seconds } = this.#options;
    if (this.#compiling.length === 0) return;
    this.#timer = setTimeout(
      () => this.#restart(`it takes longer than ${seconds} s to prepare`),
      seconds * 1000,
    );
  }

  /** Starts the thread anew without the answer that it was at. */
  #restart(why: string): void {
    const [guilty] = this.#compiling;
    this.#stop();
    if (guilty) {
      fail(guilty, why);
      this.#open.delete(guilty.id);
    }
    if (this.#open.size === 0) return;
    this.#start();
    for (const one of this.#open.values()) if (one.failure === undefined) this.#begin(one);
  }

  #hear(message: FromGrammars): void {
    if (message.type === "aborts") {
      this.#aborts = message.count;
      return;
    }
    if (message.type === "failed") {
      this.#compiled(message.id);
      const one = this.#open.get(message.id);
      if (one) fail(one, message.why);
      return;
    }
    const { answers, masks } = message;
    const words = masks.length / answers.reduce((sum, [, drafted]) => sum + 1 + drafted, 0);
    let at = 0;
    const next = () => masks.subarray(at, at += words);
    for (const [id, drafted] of answers) {
      this.#compiled(id);
      const allowed = next();
      const along = Array.from({ length: drafted }, next);
      const one = this.#open.get(id);
      if (!one) continue;
      Object.assign(one, { allowed, along });
      one.settled.resolve();
    }
  }

  /** Notes that the first tokens of an answer are known, or never will be. */
  #compiled(id: number): void {
    const at = this.#compiling.findIndex((one) => one.id === id);
    if (at < 0) return;
    this.#compiling.splice(at, 1);
    this.#watch();
  }

  #close(one: Open): void {
    if (!this.#open.delete(one.id)) return;
    fail(one, "the answer was given up");
    this.#tell({ type: "close", id: one.id });
  }

  #tell(message: ToGrammars): void {
    this.#worker?.postMessage(message);
  }
}

function fail(one: Open, why: string): void {
  one.failure ??= why;
  one.settled.resolve();
}
