import type { GenerationEvent } from "../engine/engine.ts";
import { answer, type AnswerEvent, type AnswerRequest } from "./answer.ts";
import type { RequestScope, ServeContext } from "./request_scope.ts";
import { turn } from "./turn.ts";
import { setImmediate } from "node:timers";

/** Tokens of a request, as answers count them. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** Runs all answers of a request at once; `source` says which one something is about. */
export function answers(
  serving: ServeContext,
  requests: readonly AnswerRequest[],
  scope: RequestScope,
): AsyncGenerator<Sourced<AnswerEvent>> {
  const { engine, tokenizer, metrics, adapter } = serving;
  const sources = requests.map((request) => {
    const events = guarded(
      engine.generate(
        { ...request.generation, ...adapter !== undefined && { adapter } },
        scope.signal,
      ),
      scope.signal,
    );
    const watched = metrics.watch(events, { request: request.generation, signal: scope.signal });
    return answer(watched, { request, tokenizer });
  });
  return merge(sources, () => scope.stop());
}

/** Counts the tokens of a request whose answers come `each` to a prompt, one prompt after the other. */
export function countUsage(
  requests: readonly AnswerRequest[],
  each: number,
): { see(event: Sourced<AnswerEvent>): void; usage(): Usage } {
  let [generated, cached] = [0, 0];
  const prompts = requests.filter((_, at) => at % each === 0);
  const prompt = prompts.reduce((sum, { generation }) => sum + generation.prompt.length, 0);
  return {
    see({ source, value }) {
      if (value.type === "prompt" && source % each === 0) cached += value.cached;
      if (value.type === "text") return;
      if (value.type === "end") generated += value.tokens;
    },
    usage: () => ({
      prompt_tokens: prompt,
      completion_tokens: generated,
      total_tokens: prompt + generated,
      prompt_tokens_details: { cached_tokens: cached },
    }),
  };
}

/**
 * Finds the likeliest answers to each prompt of a request, by their log-probability a token, as OpenAI's
 * `best_of` does; all of them, in their order, where all are wanted.
 */
export function rateAnswers(
  { requests, each, kept = each }: {
    readonly requests: readonly AnswerRequest[];
    readonly each: number;
    readonly kept?: number;
  },
): { see(event: Sourced<AnswerEvent>): void; best(): number[] } {
  const scores = requests.map(() => ({ sum: 0, tokens: 0 }));
  const mean = (at: number) => scores[at]!.sum / Math.max(1, scores[at]!.tokens);
  return {
    see({ source, value }) {
      if (kept === each || value.type !== "text") return;
      for (const { logprob = 0 } of value.tokens) {
        scores[source]!.sum += logprob;
        scores[source]!.tokens++;
      }
    },
    best() {
      const all = requests.map((_, at) => at);
      if (kept === each) return all;
      const prompts = Array.from({ length: all.length / each }, (_, prompt) => prompt * each);
      return prompts.flatMap((first) =>
        all.slice(first, first + each).sort((a, b) => mean(b) - mean(a)).slice(0, kept)
      );
    },
  };
}

/** Tells why a request was given up rather than what the engine makes of it. */
async function* guarded(
  events: AsyncIterable<GenerationEvent>,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent> {
  try {
    for await (const event of events) {
      yield event;
      if (event.type === "end") return;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
  signal.throwIfAborted();
  throw new Error("The engine ended an answer without saying why");
}

/** Something of one of several sources. */
export interface Sourced<T> {
  readonly source: number;
  readonly value: T;
}

/**
 * Runs several sources at once and gives what comes in the order it comes.
 *
 * Where one fails, or the reader leaves, `stop` is called and the others are waited for: nothing goes
 * on behind a request's back.
 */
async function* merge<T>(
  sources: readonly AsyncIterable<T>[],
  stop: () => void,
): AsyncGenerator<Sourced<T>> {
  const queue: Sourced<T>[] = [];
  let running = sources.length;
  let failure: { readonly error: unknown } | undefined;
  let wake = Promise.withResolvers<void>();
  const drain = async (values: AsyncIterable<T>, source: number) => {
    try {
      for await (const value of values) {
        queue.push({ source, value });
        wake.resolve();
      }
    } catch (error) {
      failure ??= { error };
    } finally {
      running--;
      wake.resolve();
    }
  };
  /** Fulfilled once all were asked: one that is refused at once is told before any has given something. */
  const asked = Promise.withResolvers<void>();
  const start = async () => {
    const all = [];
    for (const [source, values] of sources.entries()) {
      if (failure) break;
      all.push(drain(values, source));
      await turn();
    }
    // What is refused at once is known when all that waits has had its turn.
    if (sources.length > 1) await new Promise((resolve) => setImmediate(resolve));
    asked.resolve();
    await Promise.all(all);
  };
  const drained = start();
  try {
    await asked.promise;
    for (;;) {
      while (queue.length > 0 && !failure) {
        yield queue.shift()!;
        await turn();
      }
      if (failure) throw failure.error;
      if (running === 0) return;
      await wake.promise;
      wake = Promise.withResolvers();
    }
  } finally {
    if (running > 0) stop();
    await drained;
  }
}
