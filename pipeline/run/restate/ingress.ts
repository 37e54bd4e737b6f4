import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import type { RestateAccess } from "./access.ts";

/** An order that ended without an artifact. */
export class OrderError extends Error {
  override readonly name = "OrderError";
}

/** How to wait for a server that is silent. */
export interface Patience {
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Hears of every try that found nobody. */
  onSilence(why: string): void;
}

/** One wait for an answer; a connection that died silently is noticed after it. */
const ANSWER_MS = 60_000;

/** Between two tries to reach a server that does not answer. */
const AGAIN_MS = 500;

/** Where a server takes calls. */
export class Ingress {
  readonly url: string;
  readonly #access: Pick<RestateAccess, "token">;

  constructor(url: string, access: Pick<RestateAccess, "token">) {
    this.url = url.replace(/\/+$/, "");
    this.#access = access;
  }

  /** Calls a handler and gives its answer; throws in a sentence where that fails. */
  async call<T>(path: string, body?: unknown): Promise<T> {
    const { answer, said } = await this.#ask(path, { method: "POST", body }).catch((error) => {
      throw this.#unusable(reasonOf(error));
    });
    if (answer.ok) return said as T;
    const why = messageIn(said) ?? `status ${answer.status}`;
    throw why.startsWith("Cannot ") ? new Error(why) : this.#unusable(why);
  }

  /**
   * Starts a call and gives the name of its invocation, however long the server is silent.
   *
   * Twice under one id starts it once.
   */
  async send(
    path: string,
    { body, id, ...patience }: Patience & { readonly body: unknown; readonly id: string },
  ): Promise<string> {
    return await this.#persist(`${path}/send`, { method: "POST", body, id, ...patience }, (ask) => {
      const { invocationId: name } = ask.said as { readonly invocationId?: string };
      if (ask.answer.ok && name) return name;
      const { status } = ask.answer;
      // A server that has just started may not know its services yet.
      if (status >= 500 || status === 404) return undefined;
      throw this.#unusable(messageIn(ask.said) ?? `status ${status}`);
    });
  }

  /**
   * The answer of an invocation, however long it takes and however often the server starts again.
   *
   * Throws an {@linkcode OrderError} with what the handler threw.
   */
  async attach<T>(invocation: string, patience: Patience): Promise<T> {
    const path = `restate/invocation/${invocation}/attach`;
    return await this.#persist(path, { method: "GET", ...patience }, ({ answer, said }) => {
      if (answer.ok) return said as T;
      if (answer.headers.get("x-restate-error-source") === "invocation") {
        throw new OrderError(messageIn(said) ?? "it failed without a word");
      }
      if (answer.status !== 404) return undefined;
      throw new OrderError(
        `Cannot follow order ${invocation}: the server does not know it any more, expected a ` +
          "server that keeps its directory; run again",
      );
    });
  }

  /** Asks until `read` makes something of the answer. */
  async #persist<T>(
    path: string,
    { signal, onSilence, ...request }: Patience & Asked,
    read: (ask: Said) => T | undefined,
  ): Promise<T> {
    for (;;) {
      signal.throwIfAborted();
      const ask = await this.#ask(path, { ...request, signal }).catch((error) => {
        if (!isTimeout(error)) onSilence(reasonOf(error));
      });
      const value = ask && read(ask);
      if (value !== undefined) return value;
      if (ask) onSilence(messageIn(ask.said) ?? `status ${ask.answer.status}`);
      await sleep(AGAIN_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #ask(path: string, { method, body, id, signal }: Asked): Promise<Said> {
    const timeout = AbortSignal.timeout(ANSWER_MS);
    const answer = await fetch(`${this.url}/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#access.token}`,
        ...body !== undefined && { "content-type": "application/json" },
        ...id !== undefined && { "idempotency-key": id },
      },
      ...body !== undefined && { body: JSON.stringify(body) },
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const text = await answer.text();
    return { answer, said: parse(text) };
  }

  #unusable(why: string): Error {
    return new Error(
      `Cannot use Restate at ${this.url}: ${why}, expected the server that \`deno task restate\` ` +
        "starts",
    );
  }
}

interface Asked {
  readonly method: "GET" | "POST";
  readonly body?: unknown;
  /** Idempotency key. */
  readonly id?: string;
  readonly signal?: AbortSignal;
}

interface Said {
  readonly answer: Response;
  readonly said: unknown;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text };
  }
}

function messageIn(said: unknown): string | undefined {
  const { message } = said as { readonly message?: unknown };
  return typeof message === "string" && message !== "" ? messageOf(message) : undefined;
}

/** What kept a request from being answered: the innermost of what `fetch` says. */
function reasonOf(error: unknown): string {
  const { cause } = error as { readonly cause?: unknown };
  return messageOf(cause ?? error).split(": ").at(-1) ?? "";
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
