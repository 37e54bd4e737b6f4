import { ApiError, queueFull, timedOut } from "./api_error.ts";
import { LEFT, type ServeContext } from "./request_scope.ts";

/** Bytes of bodies that are always received. */
const SMALL = 64 << 10;

/** Longer ones that are on their way may together be as long as so many of the longest. */
const LONG_BODIES = 8;

/**
 * Receives the body of a request that says it is JSON: no longer than allowed, in the time allowed.
 *
 * Only JSON that says so is taken: a page of another site can send anything else to a server on
 * loopback without asking first. Nor do many long ones at once take more memory than has been set
 * aside for them: those that find no room are refused.
 */
export async function receive(
  request: Request,
  serving: Pick<ServeContext, "options" | "receiving">,
): Promise<Uint8Array<ArrayBuffer>> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/([a-z.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new ApiError(
      415,
      `Cannot read the request: its content-type is "${type}", expected application/json`,
      { code: "unsupported_media_type" },
    );
  }
  return await bytesOf(request, serving);
}

async function bytesOf(
  request: Request,
  { options: { maxBody, timeout }, receiving }: Pick<ServeContext, "options" | "receiving">,
): Promise<Uint8Array<ArrayBuffer>> {
  const tooLong = () =>
    new ApiError(
      413,
      `Cannot read the request: it is longer than the ${maxBody} bytes allowed`,
      { code: "body_too_large" },
    );
  const checkRoom = (size: number, more: number) => {
    if (size > maxBody) throw tooLong();
    const most = LONG_BODIES * maxBody;
    if (size <= SMALL || receiving.bytes + more <= most) return;
    throw queueFull(
      `Cannot read the request: long ones of ${receiving.bytes} bytes are on their way, and ` +
        `${most} may be; try again later`,
    );
  };
  const said = Number(request.headers.get("content-length") ?? 0);
  checkRoom(said, said);
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
      checkRoom(size + value.length, value.length);
      size += value.length;
      receiving.bytes += value.length;
      parts.push(value);
    }
  } finally {
    clearTimeout(timer);
    receiving.bytes -= size;
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
