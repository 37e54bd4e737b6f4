import type { z } from "zod";
import { ApiError, fieldError, timedOut } from "./api_error.ts";
import type { ServeOptions } from "./options.ts";
import { checkFields } from "./refused_fields.ts";
import { LEFT } from "./request_scope.ts";

/** Most entries of a list or an object in a request, but for lists of tokens. */
const MOST_ENTRIES = 4096;

/** What `readRequest()` reads by. */
interface Reading<Shape extends z.core.$ZodLooseShape> {
  readonly schema: z.ZodObject<Shape, z.core.$loose>;
  /** Whether unknown fields are refused, how long the body may be, and how long it may take. */
  readonly options: Pick<ServeOptions, "strict" | "maxBody" | "timeout">;
  /** Fields that are read elsewhere and may be as long as the body. */
  readonly long?: readonly string[];
}

/** Reads the JSON of a request; what it says wrong becomes an error that names the field. */
export async function readRequest<Shape extends z.core.$ZodLooseShape>(
  request: Request,
  { schema, options, long = [] }: Reading<Shape>,
): Promise<z.output<z.ZodObject<Shape, z.core.$loose>>> {
  const body = await readJson(request, options);
  for (const [name, value] of Object.entries(body)) {
    const entries = typeof value === "object" && value ? Object.keys(value).length : 0;
    if (entries > MOST_ENTRIES && !long.includes(name)) {
      throw fieldError(
        `Cannot read "${name}": it has ${entries} entries, expected at most ${MOST_ENTRIES}`,
        name,
      );
    }
  }
  checkFields(body, { known: schema.shape, strict: options.strict });
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const name = issue!.path.map((step, at) =>
    typeof step === "number" ? `[${step}]` : `${at > 0 ? "." : ""}${String(step)}`
  ).join("");
  throw fieldError(`Cannot read "${name}": ${issue!.message}`, name);
}

/**
 * Only JSON that says so is taken: a page of another site can send anything else to a server on
 * loopback without asking first.
 */
async function readJson(
  request: Request,
  options: Pick<ServeOptions, "maxBody" | "timeout">,
): Promise<Record<string, unknown>> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/([a-z.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new ApiError(
      415,
      `Cannot read the request: its content-type is "${type}", expected application/json`,
      { code: "unsupported_media_type" },
    );
  }
  const text = await readBody(request, options);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    const cause = error as SyntaxError;
    throw new ApiError(400, `Cannot read the request: it is no JSON (${cause.message})`, {
      code: "invalid_json",
      cause,
    });
  }
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    return body as Record<string, unknown>;
  }
  throw new ApiError(
    400,
    "Cannot read the request: it is another kind of JSON, expected an object",
  );
}

/** Reads the body of a request as text: no longer than allowed, and in the time allowed. */
async function readBody(
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
