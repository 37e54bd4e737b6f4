import { z } from "zod";
import { LOG_LEVELS, type LogLevel } from "./log_level.ts";
import { TOOL_FORMATS, type ToolFormatName } from "./tools/tool_formats.ts";

/** Where the key is looked for when no option says it. */
export const API_KEY_VARIABLE = "QUATTUOR_API_KEY";

const text = z.string().min(1);
const count = z.int().min(1);

/**
 * What decides how a model is served, wherever that is: parameters of the stage `serve`, and options of
 * the command, which come before what a deployment says.
 */
export const deploymentOptions = z.strictObject({
  names: z.array(text).default([]).describe(
    "other names under which requests may ask for the model",
  ),
  device: z.string().regex(/^(auto|cpu(:[1-9]\d*)?|gpu(:.+)?)$/, {
    error: "expected auto, cpu, cpu:THREADS, gpu or gpu:NAME",
  }).optional().describe("where kernels run; --device comes before it"),
  context: count.optional().describe(
    "longest prompt and answer together, in tokens (default: what the model was made for)",
  ),
  sequences: count.optional().describe(
    "requests that run at once (default: 16 on a CPU, 256 on a graphics processor)",
  ),
  stepTokens: count.optional().describe(
    "tokens a step of the engine takes on (default: 256 on a CPU, 2048 on a graphics processor)",
  ),
  speculate: z.enum(["ngram"], 'expected "ngram"').optional().describe(
    "ngram: guess answers from what was said before, where few requests run; the same tokens",
  ),
  pages: count.optional().describe(
    "pages of the KV cache, of 64 tokens each (default: what memory leaves)",
  ),
  queue: z.int().min(0).optional().describe(
    "requests that may wait; more get status 429 (default: 256)",
  ),
  queueTokens: z.int().min(0).optional().describe(
    "tokens of prompts that may wait (default: 64 contexts)",
  ),
  maxTokens: count.optional().describe(
    "most tokens of an answer (default: what the context leaves)",
  ),
  temperature: z.number().min(0).optional().describe(
    "divides logits where a request says nothing; 0 takes the likeliest token (default: 1)",
  ),
  topP: z.number().min(0).max(1).optional().describe(
    "the likeliest tokens that have this probability, where a request says nothing (default: 1)",
  ),
  topK: z.int().min(-1).optional().describe(
    "so many of the likeliest tokens, where a request says nothing; 0 for all (default: 0)",
  ),
  minP: z.number().min(0).max(1).optional().describe(
    "least share of the likeliest token's probability, where a request says nothing (default: 0)",
  ),
  repetitionPenalty: z.number().positive().optional().describe(
    "divides logits of tokens that were there, where a request says nothing (default: 1)",
  ),
  stop: z.array(text).default([]).describe("texts that end every answer"),
  stopTokenIds: z.array(z.int().min(0)).default([]).describe(
    "tokens that end every answer, beside those of the model",
  ),
  chatTemplate: text.optional().describe(
    "Jinja, or a file of it, that lays conversations out (default: the model's own)",
  ),
  toolParser: z.enum(Object.keys(TOOL_FORMATS) as [ToolFormatName, ...ToolFormatName[]]).optional()
    .describe("how the model writes calls of functions (default: as its chat template tells)"),
  strict: z.boolean().default(false).describe(
    "refuse fields of requests that are not known, and more tokens than fit",
  ),
});

/** What a server can be told besides: sockets, secrets and limits of requests. */
const serverOptions = z.strictObject({
  host: text.default("127.0.0.1").describe(
    "the address to listen at; others than loopback need an API key",
  ),
  port: z.int().min(0).max(65535).default(8000).describe("the port to listen at; 0 for any"),
  apiKey: text.optional().describe(
    `what requests say as "Authorization: Bearer <key>"; a list of processes shows it, ${API_KEY_VARIABLE} or a file does not`,
  ),
  origins: z.array(text).default([]).describe(
    "web pages, as https://host, whose scripts may ask; * for all",
  ),
  hosts: z.array(text).default([]).describe(
    "names under which a server without a key is asked, besides localhost",
  ),
  maxBody: z.int().min(1024).default(8 << 20).describe("most bytes of a request"),
  maxEntries: count.default(4096).describe(
    "most fields of a request, and entries of each but for lists of tokens",
  ),
  maxText: count.default(1 << 20).describe("most characters of the texts of a request"),
  maxChoices: count.default(128).describe("most answers to one request: prompts times n"),
  maxLogprobs: z.int().min(0).default(20).describe("most log-probabilities a token"),
  maxScores: count.default(1 << 20).describe(
    "most log-probabilities of all tokens of an answer, its prompts included",
  ),
  readers: count.default(2).describe("threads that make tokens of requests"),
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
  logLevel: z.enum(Object.keys(LOG_LEVELS) as [LogLevel, ...LogLevel[]]).default("info").describe(
    "how much the log tells, in words on a terminal and else as JSON; debug has polls of /health, /metrics and /status too",
  ),
  drain: z.number().min(0).default(30).describe(
    "seconds that requests under way have once the server is asked to stop",
  ),
});

/** All that a server can be told, with what holds where nothing is said; the help texts of `serve`. */
export const serveOptions = z.strictObject({ ...serverOptions.shape, ...deploymentOptions.shape });

/** The options of a server, written out. */
export type ServeOptions = z.output<typeof serveOptions>;

/** How a model is served, written out. */
export type DeploymentOptions = z.output<typeof deploymentOptions>;

/** Options by what was said; throws a TypeError that names the first that cannot be. */
export function readServeOptions(said: Readonly<Record<string, unknown>>): ServeOptions {
  const read = serveOptions.safeParse(said);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new TypeError(`Cannot serve with "${issue!.path.join(".")}": ${issue!.message}`);
}

/** What options wish of an engine; see `SizeWishes`. */
export function wishesOf(
  { context, sequences, stepTokens, speculate, pages, queue, queueTokens }: DeploymentOptions,
) {
  return { context, sequences, stepTokens, speculate, pages, queueRequests: queue, queueTokens };
}
