import { relative } from "node:path";
import type { RunEvent } from "../event.ts";

/** Where a program tells what it does. */
export interface Screen {
  /** Takes what belongs to the result. */
  write(text: string): void;
  /** Takes what went wrong. */
  error(text: string): void;
  /** Width of a terminal that redraws its last line; 0 for pipes and for terminals without a width. */
  readonly columns: number;
  readonly color: boolean;
}

/** A step that has an artifact now. */
export type Finished = RunEvent & { readonly type: "done" | "reuse" };

/** Terminal colors by what they say. */
export const COLORS = {
  hit: 36,
  run: 32,
  "run?": 33,
  forced: 33,
  note: 2,
  failed: 31,
  blocked: 31,
  stopped: 33,
} as const;

/** Colors a text, or not. */
export type Paint = (text: string, color: number) => string;

/** The screen's way to color. */
export function painter({ color }: Screen): Paint {
  return (text, code) => color && text !== "" ? `\x1b[${code}m${text}\x1b[0m` : text;
}

/** A path as a user would type it here. */
export function shortPath(path: string): string {
  const near = relative(Deno.cwd(), path);
  return near.startsWith("..") ? path : near;
}

/** The screen of this process: live where standard output is a terminal with a width. */
export function processScreen(): Screen {
  const terminal = Deno.stdout.isTerminal() && Deno.env.get("TERM") !== "dumb";
  return {
    write: (text) => put(Deno.stdout, text),
    error: (text) => put(Deno.stderr, text),
    get columns() {
      return terminal ? width() : 0;
    },
    color: terminal && !Deno.noColor,
  };
}

function width(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 0;
  }
}

function put(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
  } catch (error) {
    // The reader has seen enough, as `head` does; the work goes on.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
