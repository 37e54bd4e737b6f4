import { stripVTControlCharacters } from "node:util";

/** Lines of a message, and places of its stack, that stand at the end of a run. */
const MESSAGE_LINES = 12;
const STACK_LINES = 3;

/** What a process of `deno test` printed, the files whose tests it ran, and whether it was content. */
export interface TestOutput {
  readonly files: readonly string[];
  readonly success: boolean;
  readonly text: string;
}

/**
 * What processes of `deno test` come to, in a line as each ends with. One that has no such line died,
 * and counts as a failed test.
 */
export function summary(
  outputs: readonly TestOutput[],
  { fine, seconds }: { readonly fine: boolean; readonly seconds: number },
): string {
  const lines = outputs.map(({ text }) => lastSummary(text) ?? "1 failed");
  const count = (word: string) =>
    lines.reduce((sum, line) => sum + Number(new RegExp(`(\\d+) ${word}`).exec(line)?.[1] ?? 0), 0);
  const [steps, failed] = [count("step"), count("failed")];
  return [
    fine && failed === 0 ? "ok" : "FAILED",
    `${count("passed")} passed${steps > 0 ? ` (${steps} steps)` : ""}`,
    `${failed} failed`,
    ...["ignored", "filtered out"].flatMap((word) =>
      count(word) > 0 ? [`${count(word)} ${word}`] : []
    ),
  ].join(" | ") + ` (${Math.floor(seconds / 60)}m${Math.floor(seconds % 60)}s)`;
}

/**
 * The failed tests of a process, each with its place, the begin of its message and of its stack; one
 * that failed and names none, as where it died, has its files and its last lines.
 */
export function failures({ files, success, text }: TestOutput): string[] {
  const plain = stripVTControlCharacters(text).trimEnd();
  const found: string[][] = [];
  const listed = /\n ERRORS \n\n(.*)\n FAILURES \n/s.exec(plain)?.[1] ?? "";
  const lines = listed.split("\n");
  for (const [at, line] of lines.entries()) {
    const begins = /(?: => \S+:\d+:\d+| \(uncaught error\))$/.test(line) &&
      lines[at + 1]?.startsWith("error: ");
    begins ? found.push([line]) : found.at(-1)?.push(line);
  }
  if (!success && found.length === 0) {
    found.push([`failed: ${files.join(" ")}`, ...plain.split("\n").slice(-MESSAGE_LINES)]);
  }
  return found.map(shortened);
}

function shortened(lines: readonly string[]): string {
  const isPlace = (line: string) => /^ +at /.test(line);
  const stack = lines.findIndex(isPlace);
  const message = lines.slice(0, stack < 0 ? lines.length : stack);
  const places = lines.filter(isPlace).filter((line) => line.includes("file://"));
  return [
    ...message.slice(0, MESSAGE_LINES + 1),
    ...message.length > MESSAGE_LINES + 1 ? ["..."] : [],
    ...places.slice(0, STACK_LINES),
  ].join("\n").trimEnd();
}

function lastSummary(text: string): string | undefined {
  const line = stripVTControlCharacters(text).trimEnd().split("\n").at(-1) ?? "";
  return /\d+ passed.* \| \d+ failed/.test(line) ? line : undefined;
}
