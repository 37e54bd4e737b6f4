/** Signals by which a user or a system asks a program to stop. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

/** What a stage throws when the user asked it to stop. */
export const STOPPED = "Cannot go on: the user asked to stop";

/** Exit status after a stop. */
export const STOPPED_STATUS = 130;

/**
 * Aborts `controller` at the first Ctrl-C and ends the process at the second.
 *
 * Dispose the result to let go of the signals.
 */
export function onInterrupt(controller: AbortController, ask: () => void): Disposable {
  const listen = () => {
    if (controller.signal.aborted) Deno.exit(STOPPED_STATUS);
    controller.abort(new DOMException(STOPPED, "AbortError"));
    ask();
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, listen);
  return {
    [Symbol.dispose]() {
      for (const signal of SIGNALS) Deno.removeSignalListener(signal, listen);
    },
  };
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
