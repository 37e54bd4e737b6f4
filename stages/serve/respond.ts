import type { Context } from "hono";
import type { AnswerEvent, AnswerRequest } from "./answer.ts";
import { answers, countUsage } from "./answers.ts";
import { toApiError } from "./api_error.ts";
import { eventStream } from "./event_stream.ts";
import { logFailure, logRequest, type ServeEnv } from "./request_log.ts";
import { fingerprintOf, LEFT, openScope, type ServeContext } from "./request_scope.ts";
import type { SamplingFields } from "./sampling_fields.ts";

/** How the answers to a request become its response. */
export interface Reply {
  readonly fields: SamplingFields;
  readonly requests: readonly AnswerRequest[];
  /** What an id begins with, and what a whole answer and a chunk of a stream are called. */
  readonly names: { readonly id: string; readonly whole: string; readonly chunk: string };
  /** A choice for each answer. */
  readonly choices: readonly {
    /** What a chunk of a stream tells of an event, if it has a word for it. */
    see(event: AnswerEvent): object | undefined;
    /** The choice once all events were seen. */
    whole(): object;
  }[];
}

/** Answers a request in one piece or as a stream, and frees what it held however it ends. */
export async function respond(
  serving: ServeContext,
  context: Context<ServeEnv>,
  { fields, requests, names, choices }: Reply,
): Promise<Response> {
  const entry = context.get("entry");
  const scope = openScope(serving, context.req.raw);
  const counted = countUsage(requests, fields.n ?? 1);
  const head = {
    id: `${names.id}-${crypto.randomUUID().replaceAll("-", "")}`,
    object: fields.stream ? names.chunk : names.whole,
    created: Math.floor(Date.now() / 1000),
    model: serving.card.name,
    system_fingerprint: fingerprintOf(serving.card),
  };
  const told = async function* () {
    for await (const event of answers(serving, requests, scope)) {
      counted.see(event);
      if (event.value.type === "end") entry.finish = event.value.reason;
      const choice = choices[event.source]!.see(event.value);
      if (choice) yield choice;
    }
  };
  const note = () => {
    const { prompt_tokens: prompt, completion_tokens: tokens } = counted.usage();
    Object.assign(entry, { promptTokens: prompt, answerTokens: tokens });
  };
  if (!fields.stream) {
    try {
      for await (const _ of told()) {
        // Choices keep what they have seen.
      }
      const whole = choices.map((choice) => choice.whole());
      return context.json({ ...head, choices: whole, usage: counted.usage() });
    } catch (error) {
      entry.finish = error === LEFT ? "abort" : "error";
      throw error;
    } finally {
      note();
      scope[Symbol.dispose]();
    }
  }
  async function* chunks() {
    const usage = fields.stream_options?.include_usage ?? false;
    for await (const choice of told()) {
      yield { ...head, choices: [choice], ...usage && { usage: null } };
    }
    if (usage) yield { ...head, choices: [], usage: counted.usage() };
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
