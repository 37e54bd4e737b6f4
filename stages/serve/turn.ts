import { setImmediate } from "node:timers/promises";

/** Milliseconds of work in one go. */
const GO = 5;

/** Divides long work, so that other requests have their turn: wait for what it gives now and then. */
export function openTurns(): () => Promise<void> | undefined {
  let begun = performance.now();
  return () => {
    if (performance.now() - begun < GO) return undefined;
    return setImmediate().then(() => {
      begun = performance.now();
    });
  };
}
