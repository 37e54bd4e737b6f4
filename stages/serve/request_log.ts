import { configure, dispose, getJsonLinesFormatter, getLogger, reset } from "@logtape/logtape";

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

/** Writes a line about a request that has been answered. */
export function logRequest(entry: RequestEntry, status: number, milliseconds: number): void {
  const level = status >= 500 ? "warn" : "info";
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

/**
 * Sends the log somewhere as lines of JSON until it is disposed; without it nothing is logged.
 *
 * There is one log in a process.
 */
export async function openLog(write: (line: string) => void): Promise<AsyncDisposable> {
  const format = getJsonLinesFormatter();
  await configure({
    reset: true,
    sinks: { lines: (record) => write(format(record)) },
    loggers: [
      { category: CATEGORY, lowestLevel: "info", sinks: ["lines"] },
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
