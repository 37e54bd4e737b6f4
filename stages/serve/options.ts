import { z } from "zod";
import { TOOL_FORMATS, type ToolFormatName } from "./tools/tool_formats.ts";

/** Where the key is looked for when no option says it. */
export const API_KEY_VARIABLE = "QUATTUOR_API_KEY";

/** What a server can be told, with what holds where nothing is said; the help texts of `serve`. */
export const serveOptions = z.strictObject({
  host: z.string().min(1).default("127.0.0.1").describe(
    "the address to listen at; others than loopback need an API key",
  ),
  port: z.int().min(0).max(65535).default(8000).describe("the port to listen at; 0 for any"),
  apiKey: z.string().min(1).optional().describe(
    `what requests say as "Authorization: Bearer <key>" (default: ${API_KEY_VARIABLE})`,
  ),
  names: z.array(z.string().min(1)).default([]).describe(
    "other names under which requests may ask for the model",
  ),
  origins: z.array(z.string().min(1)).default([]).describe(
    "web pages, as https://host, whose scripts may ask; * for all",
  ),
  hosts: z.array(z.string().min(1)).default([]).describe(
    "names under which a server without a key is asked, besides localhost",
  ),
  maxBody: z.int().min(1024).default(8 << 20).describe("most bytes of a request"),
  maxTokens: z.int().min(1).optional().describe(
    "most tokens of an answer (default: what the context leaves)",
  ),
  maxEntries: z.int().min(1).default(4096).describe(
    "most fields of a request, and entries of each but for lists of tokens",
  ),
  maxText: z.int().min(1).default(1 << 20).describe("most characters of the texts of a request"),
  maxChoices: z.int().min(1).default(128).describe("most answers to one request: prompts times n"),
  maxLogprobs: z.int().min(0).default(20).describe("most log-probabilities a token"),
  maxScores: z.int().min(1).default(1 << 20).describe(
    "most log-probabilities of all tokens of an answer, its prompts included",
  ),
  readers: z.int().min(1).default(2).describe("threads that make tokens of requests"),
  readTime: z.number().positive().default(10).describe(
    "seconds that making tokens of a request, or text of tokens, may take",
  ),
  timeout: z.number().positive().default(600).describe("seconds until a request is given up"),
  headerTime: z.number().positive().default(20).describe(
    "seconds in which a connection must have sent the headers of a request",
  ),
  ping: z.number().positive().default(15).describe(
    "seconds of silence after which a stream is kept alive by a comment",
  ),
  drain: z.number().min(0).default(30).describe(
    "seconds that requests under way have once the server is asked to stop",
  ),
  toolParser: z.enum(Object.keys(TOOL_FORMATS) as [ToolFormatName, ...ToolFormatName[]]).optional()
    .describe("how the model writes calls of functions (default: as its chat template tells)"),
  strict: z.boolean().default(false).describe(
    "refuse fields of requests that are not known, and more tokens than fit",
  ),
});

/** The options of a server, written out. */
export type ServeOptions = z.output<typeof serveOptions>;

const count = z.int().min(1);

/** What a server can be told of its engine; see `SizeWishes`. */
const engineWishes = z.strictObject({
  context: count.optional(),
  sequences: count.optional(),
  stepTokens: count.optional(),
  speculate: z.enum(["ngram"], 'expected "ngram"').optional(),
  queueRequests: z.int().min(0).optional(),
  queueTokens: z.int().min(0).optional(),
});

/** Options by what was said; throws a TypeError that names the first that cannot be. */
export function readServeOptions(said: Readonly<Record<string, unknown>>): ServeOptions {
  return checked(serveOptions, said);
}

/** Wishes of an engine by what was said; throws as `readServeOptions()` does. */
export function readEngineWishes(said: Readonly<Record<string, unknown>>) {
  return checked(engineWishes, said);
}

function checked<Schema extends z.ZodType>(schema: Schema, said: unknown): z.output<Schema> {
  const read = schema.safeParse(said);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new TypeError(`Cannot serve with "${issue!.path.join(".")}": ${issue!.message}`);
}
