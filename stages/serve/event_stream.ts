import { toApiError } from "./api_error.ts";
import { turn } from "./turn.ts";

/** Time in which a request that the engine does not take is answered with a status. */
const GRACE_MS = 1000;

/** How `eventStream()` sends. */
export interface EventStreamOptions {
  /** Seconds of silence after which a comment keeps the connection alive. */
  readonly ping: number;
  /** Whether events are called by their types and nothing stands behind the last; see `eventOf()`. */
  readonly named?: boolean;
  /** What is sent of what ended the stream before its time; OpenAI's error unless said. */
  errorEvent?(error: unknown): object;
  /** Called when the client left. */
  onLeave(): void;
  /** Called with what ended the stream before its time. */
  onError(error: unknown): void;
  /** Called once when nothing more is sent, however it ended. */
  onEnd(): void;
}

/**
 * Sends values as server-sent events, then `[DONE]`.
 *
 * What fails before the first value, and within a second, is thrown, so that the client gets a status;
 * what fails later is an event with an `error`.
 */
export async function eventStream(
  values: AsyncGenerator<unknown>,
  { ping, named = false, errorEvent, onLeave, onError, onEnd }: EventStreamOptions,
): Promise<Response> {
  const first = values.next();
  await raceSleep(first, GRACE_MS);
  const encoder = new TextEncoder();
  let open = true;
  let sent = performance.now();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (text: string) => {
        if (!open) return;
        controller.enqueue(encoder.encode(text));
        sent = performance.now();
      };
      const timer = setInterval(() => {
        if (performance.now() - sent >= ping * 900) send(": ping\n\n");
      }, ping * 1000);
      const pump = async () => {
        try {
          for (let next = await first; !next.done; next = await values.next()) {
            send(eventOf(next.value, { named }));
            await turn();
          }
        } catch (error) {
          if (open) onError(error);
          send(eventOf(errorEvent?.(error) ?? toApiError(error).body, { named }));
        } finally {
          clearInterval(timer);
          if (!named) send("data: [DONE]\n\n");
          if (open) controller.close();
          open = false;
          onEnd();
        }
      };
      pump();
    },
    cancel() {
      open = false;
      onLeave();
    },
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    },
  });
}

/** A value as an event, with its `type` as the event's name where that is wanted. */
function eventOf(value: unknown, { named }: { readonly named: boolean }): string {
  const { type } = value as { readonly type?: unknown };
  const name = named && typeof type === "string" ? `event: ${type}\n` : "";
  return `${name}data: ${JSON.stringify(value)}\n\n`;
}

/** Waits for a promise, at most some time; what it fails with in that time is thrown. */
async function raceSleep(promise: Promise<unknown>, ms: number): Promise<void> {
  const { promise: slept, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  // Whoever reads on later gets what fails later.
  promise.catch(() => {});
  try {
    await Promise.race([promise, slept]);
  } finally {
    clearTimeout(timer);
  }
}
