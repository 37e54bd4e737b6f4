import type { ObjectContext, ObjectSharedContext } from "@restatedev/restate-sdk/fetch";
import type { Restate } from "./sdk.ts";
import {
  type Answer,
  ARTIFACTS,
  DEVICE,
  EVERY,
  FAILED_CODE,
  LEAVING_CODE,
  type WireOrder,
  WORKERS,
} from "./wire.ts";
import type { WorkerDesk } from "./worker_desk.ts";
import type { WorkerPool } from "./worker_pool.ts";

/** Workers that may die of one order before it counts as its fault. */
const MOST_LOST = 3;

/**
 * The object of each artifact: takes an order to a worker, and to another if that one dies.
 *
 * It is one object a key, so that two orders for one artifact come one after the other; the second
 * finds the artifact made. All it knows is journaled by the server: it goes on where it was after a
 * restart of either.
 */
export function artifactOrders(restate: Restate) {
  const { TerminalError, CancelledError, handlers: { object: { shared } } } = restate;

  const ask = async (ctx: ObjectContext, { order, worker }: {
    readonly order: WireOrder;
    readonly worker: string;
  }): Promise<Answer> => {
    const call = ctx.objectClient<WorkerDesk>({ name: worker }, DEVICE).make(order);
    try {
      return await call;
    } catch (error) {
      if (error instanceof CancelledError) {
        // The worker is free only when the stage has really stopped.
        const over = ctx.invocation(await call.invocationId).attach();
        await over.catch((error) => {
          if (!(error instanceof TerminalError)) throw error;
        });
      }
      throw error;
    }
  };

  return restate.object({
    name: ARTIFACTS,
    options: { retryPolicy: { initialInterval: 100, maxInterval: 2000 } },
    handlers: {
      make: async (ctx: ObjectContext, order: WireOrder): Promise<Answer> => {
        if (order.key !== ctx.key) {
          throw new TerminalError(
            `Cannot take order ${order.id}: its key is another than its address`,
          );
        }
        const pool = ctx.objectSendClient<WorkerPool>({ name: WORKERS }, EVERY);
        for (let lost = 0; lost < MOST_LOST;) {
          const { id: ticket, promise } = ctx.awakeable<string>();
          pool.take(ticket);
          try {
            const answer = await ask(ctx, { order, worker: await promise });
            pool.giveBack({ ticket, lost: false });
            return answer;
          } catch (error) {
            if (!(error instanceof TerminalError)) throw error;
            const over = error instanceof CancelledError || error.code === FAILED_CODE;
            pool.giveBack({ ticket, lost: !over });
            if (over) throw error;
            if (error.code !== LEAVING_CODE) lost++;
          }
        }
        throw new TerminalError(
          `Cannot finish step "${order.step}": ${MOST_LOST} workers died while they worked at it, ` +
            "expected one to live; see what they said last, such as that memory ran out",
          { errorCode: FAILED_CODE },
        );
      },
      cancel: shared(async (ctx: ObjectSharedContext, invocation: string) => {
        ctx.invocation(invocation as never).cancel();
        await Promise.resolve();
      }),
    },
  });
}
