import { setImmediate, setTimeout } from "node:timers";

/** Milliseconds of work in one go. */
const GO = 5;

/** When the thread's present go began; undefined until somebody works. */
let begun: number | undefined;

/**
 * Divides long work, so that other requests have their turn: wait for what it gives now and then. All
 * work of a thread shares its goes.
 *
 * A go ends by a timer, not by `setImmediate`: Deno's loop looks at sockets when it has nothing else
 * to do, or every 61st time (`event_interval` of tokio's runtime), so that work divided by
 * `setImmediate` alone kept everybody out for a third of a second.
 */
export function turn(): Promise<void> | undefined {
  if (begun === undefined) {
    begun = performance.now();
    setImmediate(() => begun = undefined);
    return undefined;
  }
  if (performance.now() - begun < GO) return undefined;
  return new Promise((resolve) => setTimeout(resolve, 0));
}
