import type { Context } from "hono";
import type { AnswerEvent } from "./answer.ts";
import type { Sourced, Usage } from "./answers.ts";
import { toApiError } from "./api_error.ts";
import { eventStream } from "./event_stream.ts";
import { logFailure, logRequest, type ServeEnv } from "./request_log.ts";
import { LEFT, openScope, type RequestScope, type ServeContext } from "./request_scope.ts";

/** How the answers to a request become its response. */
export interface Reply {
  readonly stream: boolean;
  /** Whether a stream ends with a chunk that has the usage. */
  readonly usage: boolean;
  readonly counted: { see(event: Sourced<AnswerEvent>): void; usage(): Usage };
  events(scope: RequestScope): AsyncGenerator<Sourced<AnswerEvent>>;
  /** The chunk of a stream that tells of an event, if it has one. */
  chunk(event: Sourced<AnswerEvent>): object | undefined;
  /** The chunk that the usage is put into. */
  last(): object;
  /** The whole answer once all events were seen. */
  whole(): object;
}

/** Answers a request in one piece or as a stream, and frees what it held however it ends. */
export async function respond(
  serving: ServeContext,
  context: Context<ServeEnv>,
  reply: Reply,
): Promise<Response> {
  const entry = context.get("entry");
  const scope = openScope(serving, context.req.raw);
  const note = () => {
    const { prompt_tokens: prompt, completion_tokens: tokens } = reply.counted.usage();
    Object.assign(entry, { promptTokens: prompt, answerTokens: tokens });
  };
  if (!reply.stream) {
    try {
      for await (const event of reply.events(scope)) {
        reply.counted.see(event);
        reply.chunk(event);
        noteEnd(event);
      }
      return context.json({ ...reply.whole(), usage: reply.counted.usage() });
    } catch (error) {
      entry.finish = error === LEFT ? "abort" : "error";
      throw error;
    } finally {
      note();
      scope[Symbol.dispose]();
    }
  }
  function noteEnd({ value }: Sourced<AnswerEvent>): void {
    if (value.type === "end") entry.finish = value.reason;
  }
  async function* chunks() {
    for await (const event of reply.events(scope)) {
      reply.counted.see(event);
      noteEnd(event);
      const chunk = reply.chunk(event);
      if (chunk) yield reply.usage ? { ...chunk, usage: null } : chunk;
    }
    if (reply.usage) yield { ...reply.last(), usage: reply.counted.usage() };
  }
  const started = performance.now();
  let failed: unknown;
  try {
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
        note();
        scope[Symbol.dispose]();
        const status = failed === undefined ? 200 : statusOf(failed);
        logRequest(entry, status, performance.now() - started);
      },
    });
  } catch (error) {
    scope[Symbol.dispose]();
    throw error;
  }
}

/** The status that the log has of what ended a stream; a client that leaves is no failure. */
function statusOf(error: unknown): number {
  return error === LEFT ? 499 : toApiError(error).status;
}
