import { relative } from "node:path";
import type { RunEvent } from "../../event.ts";
import { format } from "node:util";

/** Where a program tells what it does. */
export interface Screen {
  /** Takes what belongs to the result. */
  write(text: string): void;
  /** Takes what went wrong. */
  error(text: string): void;
  /** Width of a terminal that redraws its last lines; 0 for pipes and for terminals without a width. */
  readonly columns: number;
  /** Its height; 0 where nobody knows. */
  readonly rows?: number;
  readonly color: boolean;
  /** Calls back until disposed of. */
  watch?(changes: ScreenChanges): Disposable;
}

/** What happens to a terminal. */
export interface ScreenChanges {
  /** It has another size. */
  resized(): void;
  /** The process goes on after Ctrl-Z; other programs have written meanwhile. */
  resumed(): void;
}

/** A step that has an artifact now. */
export type Finished = RunEvent & { readonly type: "done" | "reuse" };

/** Terminal colors by what they say. */
export const COLORS = {
  hit: 36,
  "hit (remote)": 36,
  run: 32,
  "run?": 33,
  forced: 33,
  note: 2,
  failed: 31,
  blocked: 31,
  stopped: 33,
  warning: 33,
  made: 32,
  skipped: 2,
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

/**
 * What an environment wants: whether a terminal is redrawn, and whether there are colors.
 *
 * Only terminals that can move the cursor and that somebody looks at are redrawn: not those of CI.
 * `FORCE_COLOR` goes before `NO_COLOR`, both before what the terminal is.
 */
export function screenManners(
  env: { get(name: string): string | undefined },
  { terminal }: { readonly terminal: boolean },
): { readonly live: boolean; readonly color: boolean } {
  const said = (name: string) => !["", "0", "false"].includes(env.get(name)?.toLowerCase() ?? "");
  const able = terminal && env.get("TERM") !== "dumb";
  const color = env.get("FORCE_COLOR") ? said("FORCE_COLOR") : able && !env.get("NO_COLOR");
  return { live: able && !said("CI"), color };
}

/** The screen of this process: live where standard output is a terminal with a width. */
export function processScreen(): Screen {
  const { live, color } = screenManners(Deno.env, { terminal: Deno.stdout.isTerminal() });
  const plainErrors = color && !Deno.stderr.isTerminal() && !Deno.env.get("FORCE_COLOR");
  const out = outlet(Deno.stdout);
  const errors = outlet(Deno.stderr);
  return {
    write: out,
    error: (text) => errors(plainErrors ? withoutColors(text) : text),
    get columns() {
      return live ? size().columns : 0;
    },
    get rows() {
      return size().rows;
    },
    color,
    watch: watchTerminal,
  };
}

function size(): { readonly columns: number; readonly rows: number } {
  try {
    return Deno.consoleSize();
  } catch {
    return { columns: 0, rows: 0 };
  }
}

function watchTerminal({ resized, resumed }: ScreenChanges): Disposable {
  if (Deno.build.os === "windows") return { [Symbol.dispose]() {} };
  Deno.addSignalListener("SIGWINCH", resized);
  Deno.addSignalListener("SIGCONT", resumed);
  return {
    [Symbol.dispose]() {
      Deno.removeSignalListener("SIGWINCH", resized);
      Deno.removeSignalListener("SIGCONT", resumed);
    },
  };
}

function withoutColors(text: string): string {
  // deno-lint-ignore no-control-regex -- the codes of colors are what is taken out
  return text.replaceAll(/\x1b\[\d*m/g, "");
}

/**
 * Writes to a stream as long as it takes anything.
 *
 * A reader that has seen enough, as `head` has, a terminal that was closed and a full disk end the
 * telling; the work goes on.
 */
function outlet(to: { writeSync(bytes: Uint8Array): number }): (text: string) => void {
  let open = true;
  return (text) => {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; open && at < bytes.length;) {
      try {
        at += to.writeSync(bytes.subarray(at));
      } catch (error) {
        // Another program may have made the terminal one that does not wait.
        if (error instanceof Deno.errors.WouldBlock) pause();
        else open = false;
      }
    }
  };
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}

/** Hands what packages print to the console to `say` until disposed of. */
export function catchConsole(say: (text: string) => void): Disposable {
  const { console } = globalThis;
  const { log, info, debug, warn, error } = console;
  const stray = (...words: unknown[]) => say(format(...words));
  Object.assign(console, { log: stray, info: stray, debug: stray, warn: stray, error: stray });
  return {
    [Symbol.dispose]: () => void Object.assign(console, { log, info, debug, warn, error }),
  };
}
