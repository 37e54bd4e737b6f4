import type { LogRecord } from "@logtape/logtape";

/**
 * A line of the log for people: `21:04:05 POST /v1/chat/completions 200 in 1.3 s, 24 + 60 tokens, stop`.
 * What a client may choose is written without control characters, which would move a terminal's cursor.
 */
export function peopleLine({ timestamp, level, message, properties }: LogRecord): string {
  const time = new Date(timestamp).toTimeString().slice(0, 8);
  const mark = level === "info" || level === "debug" ? "" : `${level}: `;
  const { method, path, status, ms, promptTokens, answerTokens, finish, ...others } = properties;
  if (status === undefined) {
    const text = message.map((part) => typeof part === "string" ? part : inWords(part)).join("");
    const rest = Object.entries(others).map(([name, value]) => `${name} ${inWords(value)}`);
    return `${plain([`${time} ${mark}${text}`, ...rest].join(", "))}\n`;
  }
  const parts = [
    `${method} ${path} ${status} in ${(Number(ms) / 1000).toFixed(Number(ms) < 9950 ? 1 : 0)} s`,
    ...promptTokens === undefined ? [] : [`${promptTokens} + ${answerTokens} tokens`],
    ...finish === undefined ? [] : [String(finish)],
  ];
  return `${plain(`${time} ${mark}${parts.join(", ")}`)}\n`;
}

function inWords(value: unknown): string {
  if (Array.isArray(value)) return value.map(inWords).join("; because ");
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

function plain(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
