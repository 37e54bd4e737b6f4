/** Signals by which a user or a system asks a program to stop. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

/** Read before anything listens to any signal: Deno then takes all of them from what they were. */
const HANGUP_IGNORED = ignoresHangup();

/** Whether there was a terminal; one that is closed is none any more before it says so. */
const AT_TERMINAL = Deno.stderr.isTerminal();

/**
 * Two signals within this time are one: a terminal and a parent process may both pass on a Ctrl-C,
 * and a terminal that is closed tells so twice.
 */
const SAME_MS = 100;

/** What a stage throws when the user asked it to stop. */
const STOPPED = "Cannot go on: the user asked to stop";

/** Exit status after a stop. */
export const STOPPED_STATUS = 130;

/**
 * Aborts `controller` at the first Ctrl-C and ends the process at the second.
 *
 * `ask` is called at the first, `leave` just before the end. Dispose the result to let go of the
 * signals.
 */
export function onInterrupt(
  controller: AbortController,
  { ask, leave, reload = false }: {
    ask(): void;
    leave(): void;
    /** Whether a hang-up asks for something else while there is a terminal; see `onHangup()`. */
    readonly reload?: boolean;
  },
): Disposable {
  let first: number | undefined;
  const listen = () => {
    if (first !== undefined) {
      if (performance.now() - first < SAME_MS) return;
      leave();
      Deno.exit(STOPPED_STATUS);
    }
    first = performance.now();
    controller.abort(new DOMException(STOPPED, "AbortError"));
    ask();
  };
  const listeners = SIGNALS.map((signal) => ({
    signal,
    listener: signal !== "SIGHUP" ? listen : HANGUP_IGNORED ? () => {} : () => {
      if (!reload || isCutOff()) listen();
    },
  }));
  for (const { signal, listener } of listeners) Deno.addSignalListener(signal, listener);
  return {
    [Symbol.dispose]() {
      for (const { signal, listener } of listeners) Deno.removeSignalListener(signal, listener);
    },
  };
}

/**
 * Calls back when the process is sent SIGHUP by somebody who wants it to read anew what it works with,
 * as is usual for servers; not when its terminal was closed, which asks it to stop. Windows has no such
 * signal. Dispose the result to let go.
 */
export function onHangup(listener: () => void): Disposable {
  if (Deno.build.os === "windows") return { [Symbol.dispose]() {} };
  const listen = () => {
    if (!isCutOff()) listener();
  };
  Deno.addSignalListener("SIGHUP", listen);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGHUP", listen) };
}

/** Whether the terminal that the process was started at is there no more. */
function isCutOff(): boolean {
  return AT_TERMINAL && !Deno.stderr.isTerminal();
}

/**
 * Ends the process in one sentence when something fails that nobody waits for.
 *
 * What was being written is left in `tmp/`, where the next run removes it. Dispose the result to let
 * go.
 */
export function onStrayError(tell: (error: unknown) => void): Disposable {
  const listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    tell(event.reason);
    Deno.exit(1);
  };
  globalThis.addEventListener("unhandledrejection", listen);
  return {
    [Symbol.dispose]: () => globalThis.removeEventListener("unhandledrejection", listen),
  };
}

/**
 * Whether this process shall outlive its terminal, as `nohup` arranges.
 *
 * Only Linux says which signals are ignored; elsewhere `nohup` shows by an output that is no terminal.
 */
function ignoresHangup(): boolean {
  if (Deno.build.os !== "linux") return !Deno.stdout.isTerminal();
  try {
    const [, mask = "0"] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(
      Deno.readTextFileSync("/proc/self/status"),
    ) ?? [];
    return (parseInt(mask.slice(-1), 16) & 1) === 1;
  } catch {
    return false;
  }
}
