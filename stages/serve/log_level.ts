/** Levels of the log by their names on the command line, the one that tells most first. */
export const LOG_LEVELS = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
} as const;

/** How much the log tells. */
export type LogLevel = keyof typeof LOG_LEVELS;
