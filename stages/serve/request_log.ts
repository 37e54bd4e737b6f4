import { configure, dispose, getJsonLinesFormatter, getLogger, reset } from "@logtape/logtape";
import { peopleLine } from "./log_line.ts";
import { LOG_LEVELS, type LogLevel } from "./log_level.ts";

/** What a line of the log says of a request; never what was asked or answered. */
export interface RequestEntry {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  /** Tokens of its prompts and of its answers, and why these ended. */
  promptTokens?: number;
  answerTokens?: number;
  finish?: string;
}

/** Variables that routes find in their context. */
export interface ServeEnv {
  readonly Variables: { readonly entry: RequestEntry };
}

const CATEGORY = ["quattuor", "serve"];
const logger = getLogger(CATEGORY);

/** Paths that programs ask again and again to see how a server does; a page of it asks the last. */
const POLLS = new Set(["/health", "/v1/health", "/ready", "/metrics", "/status"]);

/** Writes a line about a request that has been answered; of polls that went well only where all is told. */
export function logRequest(entry: RequestEntry, status: number, milliseconds: number): void {
  const level = status >= 500 ? "warn" : POLLS.has(entry.path) && status < 400 ? "debug" : "info";
  logger[level]("{method} {path} {status}", { ...entry, status, ms: Math.round(milliseconds) });
}

/** Writes a line about something that failed, with the reasons behind it. */
export function logFailure(entry: Pick<RequestEntry, "id">, error: unknown): void {
  const reasons: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) reasons.push(at.stack ?? at.message);
  logger.error("A request failed", { id: entry.id, reasons });
}

/** Writes a line about the server itself. */
export function logEvent(
  message: string,
  properties: Readonly<Record<string, unknown>> = {},
): void {
  logger.info(message, { ...properties });
}

/** How the log is written. */
export interface LogStyle {
  /** What is less is left out; `info` unless said. */
  readonly level?: LogLevel;
  /** Whether people read it: a line a request in words, else JSON. */
  readonly people?: boolean;
}

/**
 * Sends the log somewhere as lines until it is disposed; without it nothing is logged.
 *
 * There is one log in a process.
 */
export async function openLog(
  write: (line: string) => void,
  { level = "info", people = false }: LogStyle = {},
): Promise<AsyncDisposable> {
  const format = people ? peopleLine : getJsonLinesFormatter();
  await configure({
    reset: true,
    sinks: { lines: (record) => write(format(record)) },
    loggers: [
      { category: CATEGORY, lowestLevel: LOG_LEVELS[level], sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
  return {
    async [Symbol.asyncDispose]() {
      await dispose();
      await reset();
    },
  };
}
