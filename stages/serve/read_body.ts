import { ApiError, timedOut } from "./api_error.ts";
import type { ServeOptions } from "./options.ts";
import { LEFT } from "./request_scope.ts";

/** Reads the body of a request as text: no longer than allowed, and in the time allowed. */
export async function readBody(
  request: Request,
  { maxBody, timeout }: Pick<ServeOptions, "maxBody" | "timeout">,
): Promise<string> {
  const tooLong = () =>
    new ApiError(
      413,
      `Cannot read the request: it is longer than the ${maxBody} bytes allowed`,
      { code: "body_too_large" },
    );
  if (Number(request.headers.get("content-length") ?? 0) > maxBody) throw tooLong();
  if (!request.body) return "";
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(timedOut(timeout)), timeout * 1000);
  const reader = request.body.getReader();
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read().catch(left), late.promise]);
      if (done) return text + decoder.decode();
      size += value.length;
      if (size > maxBody) throw tooLong();
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    clearTimeout(timer);
    // Where it was read to its end this does nothing; else nobody waits for the rest.
    reader.cancel().catch(() => {});
  }
}

/** A body that ends early is one whose sender has gone. */
function left(): never {
  throw LEFT;
}
