import { EngineError } from "./engine.ts";
import type { EngineSizes } from "./engine_sizes.ts";

/**
 * Refuses a request where as many as may run and wait are under way.
 *
 * Both sides of a worker ask: the one before it answers must know at once, while the other may be busy
 * with a step for seconds. Where that one lets a request in, so does the worker, which knows of ends
 * earlier.
 */
export function checkQueue(
  underWay: number,
  { step: { sequences }, queue: { requests } }: Pick<EngineSizes, "step" | "queue">,
): void {
  if (underWay < sequences + requests) return;
  throw new EngineError(
    "full",
    `Cannot queue the request: ${underWay} are under way, expected fewer than ${
      sequences + requests
    }, of which ${requests} wait; try again later`,
  );
}
