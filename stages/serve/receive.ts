import { ApiError, timedOut } from "./api_error.ts";
import type { ServeOptions } from "./options.ts";
import { LEFT } from "./request_scope.ts";

/**
 * Receives the body of a request that says it is JSON: no longer than allowed, in the time allowed.
 *
 * Only JSON that says so is taken: a page of another site can send anything else to a server on
 * loopback without asking first.
 */
export async function receive(
  request: Request,
  options: Pick<ServeOptions, "maxBody" | "timeout">,
): Promise<Uint8Array<ArrayBuffer>> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/([a-z.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new ApiError(
      415,
      `Cannot read the request: its content-type is "${type}", expected application/json`,
      { code: "unsupported_media_type" },
    );
  }
  return await bytesOf(request, options);
}

async function bytesOf(
  request: Request,
  { maxBody, timeout }: Pick<ServeOptions, "maxBody" | "timeout">,
): Promise<Uint8Array<ArrayBuffer>> {
  const tooLong = () =>
    new ApiError(
      413,
      `Cannot read the request: it is longer than the ${maxBody} bytes allowed`,
      { code: "body_too_large" },
    );
  if (Number(request.headers.get("content-length") ?? 0) > maxBody) throw tooLong();
  if (!request.body) return new Uint8Array(0);
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(timedOut(timeout)), timeout * 1000);
  const reader = request.body.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read().catch(left), late.promise]);
      if (done) break;
      size += value.length;
      if (size > maxBody) throw tooLong();
      parts.push(value);
    }
  } finally {
    clearTimeout(timer);
    // Where it was read to its end this does nothing; else nobody waits for the rest.
    reader.cancel().catch(() => {});
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A body that ends early is one whose sender has gone. */
function left(): never {
  throw LEFT;
}
