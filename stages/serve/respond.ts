import type { Context } from "hono";
import type { AnswerEvent } from "./answer.ts";
import { answers, countUsage, rateAnswers, type Usage } from "./answers.ts";
import { toApiError } from "./api_error.ts";
import type { Asked } from "./asked.ts";
import { eventStream } from "./event_stream.ts";
import { sendJson } from "./json_pieces.ts";
import { receive } from "./receive.ts";
import { logFailure, logRequest, type RequestEntry, type ServeEnv } from "./request_log.ts";
import {
  fingerprintOf,
  LEFT,
  openScope,
  type RequestScope,
  type ServeContext,
  servingFor,
} from "./request_scope.ts";

/** How the answers to a kind of request become its response. */
export interface Reply {
  readonly kind: "completions" | "chat";
  /** What an id begins with, and what a whole answer and a chunk of a stream are called. */
  readonly names: { readonly id: string; readonly whole: string; readonly chunk: string };
  /** One of the answers. */
  choice(index: number, asked: Asked, serving: ServeContext): Choice;
}

/** One of the answers to a request as it is laid out, either in whole or in chunks. */
interface Choice {
  /** Keeps what `json()` will tell. */
  see(event: AnswerEvent): void;
  /** What chunks of a stream tell of an event, if they have a word for it. */
  chunks(event: AnswerEvent): Iterable<object>;
  /** The JSON of the choice, in pieces, once all events were seen; under another index where said. */
  json(index?: number): Iterable<string>;
  /** What the answer has beside its choices. */
  beside?(): Iterable<string>;
}

/** A request that is being answered. */
interface Answering {
  readonly asked: Asked;
  readonly choices: readonly Choice[];
  readonly counted: ReturnType<typeof countUsage>;
  /** What every part of the answer begins with. */
  readonly head: object;
  readonly entry: RequestEntry;
  readonly scope: RequestScope;
}

/** Reads a request, answers it whole or as a stream, and frees what it held however it ends. */
export async function answerAsked(
  server: ServeContext,
  context: Context<ServeEnv>,
  { kind, names, choice }: Reply,
): Promise<Response> {
  const request = context.req.raw;
  const scope = openScope(server, request);
  try {
    const body = await receive(request, server);
    const asked = await server.readers.read(kind, body, scope.signal);
    const serving = servingFor(server, asked);
    const answering: Answering = {
      asked,
      choices: asked.requests.map((_, index) => choice(index, asked, serving)),
      counted: countUsage(asked.requests, asked.each),
      head: {
        id: `${names.id}-${crypto.randomUUID().replaceAll("-", "")}`,
        object: asked.stream ? names.chunk : names.whole,
        created: Math.floor(Date.now() / 1000),
        model: serving.card.name,
        system_fingerprint: fingerprintOf(serving.card),
      },
      entry: context.get("entry"),
      scope,
    };
    return await (asked.stream ? stream(serving, answering) : whole(serving, answering));
  } catch (error) {
    scope[Symbol.dispose]();
    throw error;
  }
}

async function whole(serving: ServeContext, answering: Answering): Promise<Response> {
  const { asked, choices, counted, head, entry, scope } = answering;
  const rated = rateAnswers(asked);
  try {
    for await (const event of answers(serving, asked.requests, scope)) {
      counted.see(event);
      rated.see(event);
      if (event.value.type === "end") entry.finish = event.value.reason;
      choices[event.source]!.see(event.value);
    }
  } catch (error) {
    entry.finish = error === LEFT ? "abort" : "error";
    throw error;
  } finally {
    note(answering);
  }
  const best = rated.best().map((at) => choices[at]!);
  return await sendJson(wholeJson(head, best, counted.usage()), () => scope[Symbol.dispose]());
}

function* wholeJson(head: object, choices: readonly Choice[], usage: Usage): Generator<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"choices":[`;
  for (const [at, choice] of choices.entries()) {
    if (at > 0) yield ",";
    yield* choice.json(at);
  }
  yield "]";
  yield* choices[0]?.beside?.() ?? [];
  yield `,"usage":${JSON.stringify(usage)}}`;
}

async function stream(serving: ServeContext, answering: Answering): Promise<Response> {
  const { asked, choices, counted, head, entry, scope } = answering;
  async function* chunks() {
    for await (const event of answers(serving, asked.requests, scope)) {
      counted.see(event);
      if (event.value.type === "end") entry.finish = event.value.reason;
      for (const choice of choices[event.source]!.chunks(event.value)) {
        yield { ...head, choices: [choice], ...asked.usage && { usage: null } };
      }
    }
    if (asked.usage) yield { ...head, choices: [], usage: counted.usage() };
  }
  const started = performance.now();
  let failed: unknown;
  return await eventStream(chunks(), {
    ping: serving.options.ping,
    onLeave: () => {
      entry.finish = "abort";
      scope.stop();
    },
    onError: (error) => {
      failed = error;
      entry.finish = error === LEFT ? "abort" : "error";
      if (statusOf(error) >= 500) logFailure(entry, error);
    },
    onEnd: () => {
      note(answering);
      scope[Symbol.dispose]();
      const status = failed === undefined ? 200 : statusOf(failed);
      logRequest(entry, status, performance.now() - started);
    },
  });
}

/** Puts the tokens of a request into its line of the log. */
export function note({ counted, entry }: Pick<Answering, "counted" | "entry">): void {
  const { prompt_tokens: prompt, completion_tokens: tokens } = counted.usage();
  Object.assign(entry, { promptTokens: prompt, answerTokens: tokens });
}

/** The status that the log has of what ended a stream; a client that leaves is no failure. */
export function statusOf(error: unknown): number {
  return error === LEFT ? 499 : toApiError(error).status;
}
