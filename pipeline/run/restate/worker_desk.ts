import type { ObjectContext } from "@restatedev/restate-sdk/fetch";
import { messageOf } from "../../errors.ts";
import type { Restate } from "./sdk.ts";
import { type Answer, FAILED_CODE, LEAVING_CODE } from "./wire.ts";
import type { Work, Workbench } from "./workbench.ts";

/** What a worker's object needs of the worker. */
export interface Desk {
  /** Name of the object. */
  readonly name: string;
  readonly bench: Workbench<Answer>;
  /** The id of an order; throws for what is none. */
  idOf(order: unknown): string;
  /** Makes the artifact of an order. */
  work(order: unknown, signal: AbortSignal): Promise<Answer>;
  /** Aborts when the worker goes away. */
  readonly leaving: AbortSignal;
}

/** Stages take as long as they take; a timeout would run them again and again to their end. */
const FOREVER = { days: 365 };

/**
 * The object of one worker: takes one order at a time, and goes on with it when the server comes back.
 *
 * What the stage throws ends the order. A worker that is silent is tried for about 3 s and then given
 * up, so that its order goes to another.
 */
export function workerDesk(restate: Restate, { name, bench, idOf, work, leaving }: Desk) {
  const { TerminalError, CancelledError } = restate;
  return restate.object({
    name,
    options: {
      ingressPrivate: true,
      inactivityTimeout: FOREVER,
      abortTimeout: FOREVER,
      retryPolicy: {
        initialInterval: 200,
        exponentiationFactor: 2,
        maxAttempts: 5,
        onMaxAttempts: "kill",
      },
    },
    handlers: {
      make: async (ctx: ObjectContext, order: unknown): Promise<Answer> => {
        const { attemptCompletedSignal: over } = ctx.request();
        let current: Work<Answer> | undefined;
        const make = async () => {
          try {
            const taken = bench.take(idOf(order), (signal) => work(order, signal));
            current = taken;
            over.addEventListener("abort", () => taken.letGo(), { once: true });
            return await taken.result;
          } catch (error) {
            const errorCode = leaving.aborted ? LEAVING_CODE : FAILED_CODE;
            throw new TerminalError(messageOf(error), { errorCode });
          }
        };
        try {
          return await ctx.run("make", make);
        } catch (error) {
          if (error instanceof CancelledError) {
            current?.stop(error);
            // This object takes the next order when the device is free.
            await current?.result.catch(() => {});
          }
          throw error;
        }
      },
    },
  });
}

/** A worker's object as the artifacts' object calls it. */
export type WorkerDesk = ReturnType<typeof workerDesk>;
