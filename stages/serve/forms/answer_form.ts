import type { Context } from "hono";
import type { AnswerEvent } from "../answer.ts";
import { answers, countUsage, type Usage } from "../answers.ts";
import type { Asked } from "../asked.ts";
import { type ChatPart, openChatParts } from "../chat_parts.ts";
import { eventStream } from "../event_stream.ts";
import type { ReadingKind } from "../read.ts";
import { receive } from "../receive.ts";
import { logFailure, logRequest, type ServeEnv } from "../request_log.ts";
import { LEFT, openScope, type ServeContext, servingFor } from "../request_scope.ts";
import { note, statusOf } from "../respond.ts";

/** An event of a stream; its type is its name. */
export type FormEvent = { readonly type: string } & Readonly<Record<string, unknown>>;

/** One answer as an API other than chat completions lays it out. */
export interface AnswerForm {
  /** What is sent once the prompt was looked at. */
  begin(usage: Usage): Iterable<FormEvent>;
  part(part: ChatPart): Iterable<FormEvent>;
  end(event: Extract<AnswerEvent, { readonly type: "end" }>, usage: Usage): Iterable<FormEvent>;
  /** The answer without a stream, once all of it was seen. */
  whole(): object;
}

/** How the requests of an API are answered. */
export interface FormReply {
  readonly kind: Extract<ReadingKind, "messages" | "responses">;
  /** Begins an answer under the name of its model. */
  open(asked: Asked, model: string): AnswerForm;
  /** What a stream tells of what ended it before its time. */
  failed(error: unknown): object;
}

/** Reads a request for one answer, answers it whole or as a stream, and frees what it held. */
export async function answerForm(
  server: ServeContext,
  context: Context<ServeEnv>,
  { kind, open, failed }: FormReply,
): Promise<Response> {
  const request = context.req.raw;
  const entry = context.get("entry");
  const scope = openScope(server, request);
  let streams = false;
  try {
    const body = await receive(request, server);
    const asked = await server.readers.read(kind, body, scope.signal);
    const serving = servingFor(server, asked);
    const counted = countUsage(asked.requests, asked.each);
    const form = open(asked, serving.card.name);
    const events = async function* (): AsyncGenerator<FormEvent> {
      const parts = openChatParts(asked.chat!);
      for await (const event of answers(serving, asked.requests, scope)) {
        counted.see(event);
        const { value } = event;
        if (value.type === "prompt") yield* form.begin(counted.usage());
        else if (value.type === "text") {
          for (const part of parts.push(value.text)) yield* form.part(part);
        } else {
          entry.finish = value.reason;
          for (const part of parts.end()) yield* form.part(part);
          yield* form.end(value, counted.usage());
        }
      }
    };
    if (!asked.stream) {
      try {
        for await (const _ of events());
      } catch (error) {
        entry.finish = error === LEFT ? "abort" : "error";
        throw error;
      } finally {
        note({ counted, entry });
      }
      return context.json(form.whole());
    }
    const started = performance.now();
    let failure: unknown;
    streams = true;
    return await eventStream(events(), {
      ping: serving.options.ping,
      named: true,
      errorEvent: failed,
      onLeave: () => {
        entry.finish = "abort";
        scope.stop();
      },
      onError: (error) => {
        failure = error;
        entry.finish = error === LEFT ? "abort" : "error";
        if (statusOf(error) >= 500) logFailure(entry, error);
      },
      onEnd: () => {
        note({ counted, entry });
        scope[Symbol.dispose]();
        const status = failure === undefined ? 200 : statusOf(failure);
        logRequest(entry, status, performance.now() - started);
      },
    });
  } catch (error) {
    streams = false;
    throw error;
  } finally {
    if (!streams) scope[Symbol.dispose]();
  }
}
