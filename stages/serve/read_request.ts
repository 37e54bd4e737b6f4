import type { z } from "zod";
import { ApiError, fieldError } from "./api_error.ts";
import type { ServeOptions } from "./options.ts";
import { checkFields } from "./refused_fields.ts";

/** What `readRequest()` reads by. */
interface Reading<Shape extends z.core.$ZodLooseShape> {
  readonly schema: z.ZodObject<Shape, z.core.$loose>;
  /** Whether unknown fields are refused, and how many fields and entries there may be. */
  readonly options: Pick<ServeOptions, "strict" | "maxEntries">;
  /** Fields that are read elsewhere and may be as long as the body. */
  readonly long?: readonly string[];
}

/** Reads the JSON of a request; what it says wrong becomes an error that names the field. */
export function readRequest<Shape extends z.core.$ZodLooseShape>(
  bytes: Uint8Array,
  { schema, options, long = [] }: Reading<Shape>,
): z.output<z.ZodObject<Shape, z.core.$loose>> {
  const body = readJson(bytes);
  checkEntries(body, { most: options.maxEntries, long });
  checkFields(body, { known: schema.shape, strict: options.strict });
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const name = issue!.path.map((step, at) =>
    typeof step === "number" ? `[${step}]` : `${at > 0 ? "." : ""}${String(step)}`
  ).join("");
  throw fieldError(`Cannot read "${name}": ${issue!.message}`, name);
}

/** Counts before anything is looked at: what comes after takes time with every entry. */
function checkEntries(
  body: Readonly<Record<string, unknown>>,
  { most, long }: { readonly most: number; readonly long: readonly string[] },
): void {
  const fields = Object.keys(body).length;
  if (fields > most) {
    throw new ApiError(
      400,
      `Cannot read the request: it has ${fields} fields, expected at most ${most}`,
      { code: "too_many_fields" },
    );
  }
  for (const [name, value] of Object.entries(body)) {
    const entries = typeof value === "object" && value ? Object.keys(value).length : 0;
    if (entries > most && !long.includes(name)) {
      throw fieldError(
        `Cannot read "${name}": it has ${entries} entries, expected at most ${most}`,
        name,
      );
    }
  }
}

function readJson(bytes: Uint8Array): Record<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder().decode(bytes));
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
