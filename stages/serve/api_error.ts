import { z } from "zod";
import { EngineError } from "../engine/engine.ts";

/** The body of an answer that is an error, as OpenAI lays it out. */
export const errorBody = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

interface Details {
  readonly type?: string;
  /** The field of the request that is at fault. */
  readonly param?: string | undefined;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** Seconds after which a client that was turned away may ask again. */
const RETRY_SECONDS = "1";

/** What an error is made of, to be sent to another thread. */
export interface ApiErrorParts {
  readonly status: number;
  readonly body: z.output<typeof errorBody>;
  readonly headers: Readonly<Record<string, string>>;
}

/** An answer that is an error: a status, and what clients make their exceptions of. */
export class ApiError extends Error implements ApiErrorParts {
  override readonly name = "ApiError";
  readonly status: number;
  readonly body: z.output<typeof errorBody>;
  readonly headers: Readonly<Record<string, string>>;

  /** The error that another thread told of. */
  static of({ status, body: { error }, headers }: ApiErrorParts): ApiError {
    const { message, type, param, code } = error;
    return new ApiError(status, message, {
      type,
      headers,
      ...param !== null && { param },
      ...code !== null && { code },
    });
  }

  constructor(status: number, message: string, details: Details = {}) {
    super(message, { cause: details.cause });
    this.status = status;
    this.headers = details.headers ?? {};
    const { type = "invalid_request_error", param = null, code = null } = details;
    this.body = { error: { message, type, param, code } };
  }

  /** What `ApiError.of()` makes it of again. */
  get parts(): ApiErrorParts {
    return { status: this.status, body: this.body, headers: this.headers };
  }
}

/** A request that says what it must not; `param` is the field. */
export function fieldError(message: string, param: string): ApiError {
  return new ApiError(400, message, { param });
}

/** A request that came while no request is taken. */
export function unavailable(message: string, cause?: unknown): ApiError {
  return new ApiError(503, message, {
    type: "service_unavailable_error",
    code: "unavailable",
    headers: { "retry-after": RETRY_SECONDS },
    cause,
  });
}

/** A request that took longer than the server allows; asking again would not help. */
export function timedOut(seconds: number): ApiError {
  return new ApiError(408, `Cannot finish the request: it took ${seconds} s, as long as allowed`, {
    type: "timeout_error",
    code: "timeout",
    headers: { "x-should-retry": "false" },
  });
}

/** More than the server has room for; a moment later there may be some. */
export function queueFull(message: string, cause?: Error): ApiError {
  return new ApiError(429, message, {
    type: "rate_limit_error",
    code: "queue_full",
    headers: { "retry-after": RETRY_SECONDS },
    ...cause && { cause },
  });
}

/** A request whose texts take longer than the server allows; asking again would not help. */
export function readTooLong(seconds: number): ApiError {
  return new ApiError(
    408,
    `Cannot read the request: making tokens of it took ${seconds} s, as long as allowed; send less`,
    { type: "timeout_error", code: "timeout", headers: { "x-should-retry": "false" } },
  );
}

/** What a client is told of anything that was thrown. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof EngineError) return ofEngine(error);
  return new ApiError(500, "Cannot answer the request: the server failed; its log has the reason", {
    type: "server_error",
    code: "internal_error",
    cause: error,
  });
}

function ofEngine(cause: EngineError): ApiError {
  const { message } = cause;
  switch (cause.why) {
    case "full":
      return queueFull(message, cause);
    case "unavailable":
      return unavailable(message, cause);
    case "too_long":
      return new ApiError(400, message, {
        param: "prompt",
        code: "context_length_exceeded",
        cause,
      });
    case "grammar":
      return new ApiError(400, message, { param: "grammar", code: "invalid_grammar", cause });
    case "failed":
      return new ApiError(500, message, { type: "server_error", code: "engine_failed", cause });
  }
}
