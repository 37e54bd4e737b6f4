import type { ObjectContext, ObjectSharedContext } from "@restatedev/restate-sdk/fetch";
import type { Registrar } from "./registrar.ts";
import {
  type Change,
  EMPTY,
  giveBack,
  join,
  leave,
  type Seat,
  type SeatPool,
  take,
} from "./pool.ts";
import type { Restate } from "./sdk.ts";
import { EVERY, type WorkerCard, workerCard, WORKERS } from "./wire.ts";

/** The part of the object below that it calls itself. */
interface Seating {
  seat(ctx: ObjectContext, seat: Seat): Promise<void>;
}

/**
 * The object that gives workers to orders; `pool.ts` decides, this keeps what was decided.
 *
 * Workers join and leave through it, and anyone may list them. Only the artifacts' object beside it
 * may take and give back.
 */
export function workerPool(restate: Restate, registrar: Registrar) {
  const { TerminalError, handlers: { object: { exclusive, shared } } } = restate;
  const inside = { ingressPrivate: true };

  const apply = async (ctx: ObjectContext, decide: (pool: SeatPool) => Change) => {
    const before = await ctx.get<SeatPool>("pool") ?? EMPTY;
    const { pool, given, gone } = decide(before);
    // Before the pool shows it, since a worker that misses itself there registers again.
    for (const { name, deployment } of gone) {
      await ctx.run(`forget ${name}`, () => registrar.remove(deployment));
    }
    ctx.set("pool", pool);
    for (const { ticket, worker } of given) ctx.resolveAwakeable(ticket, worker);
  };

  return restate.object({
    name: WORKERS,
    handlers: {
      // Shared, so that orders need not wait while the server looks at the worker.
      join: shared(async (ctx: ObjectSharedContext, said: WorkerCard) => {
        const { success, data } = workerCard.safeParse(said);
        if (!success) {
          throw new TerminalError("Cannot join: what the worker says of itself is wrong");
        }
        const register = async () => {
          const added = await registrar.add(data.uri);
          if ("id" in added) return added.id;
          throw new TerminalError(added.why, { errorCode: 400 });
        };
        const deployment = await ctx.run("register", register);
        await ctx.objectClient<Seating>({ name: WORKERS }, EVERY).seat({ ...data, deployment });
      }),
      seat: exclusive(
        inside,
        (ctx: ObjectContext, seat: Seat) => apply(ctx, (pool) => join(pool, seat)),
      ),
      leave: exclusive((ctx: ObjectContext, name: string) =>
        apply(ctx, (pool) => leave(pool, name))
      ),
      take: exclusive(
        inside,
        (ctx: ObjectContext, ticket: string) => apply(ctx, (pool) => take(pool, ticket)),
      ),
      giveBack: exclusive(
        inside,
        (ctx: ObjectContext, given: { readonly ticket: string; readonly lost: boolean }) =>
          apply(ctx, (pool) => giveBack(pool, given)),
      ),
      list: shared(async (ctx: ObjectSharedContext) =>
        (await ctx.get<SeatPool>("pool") ?? EMPTY).seats.filter(({ leaving }) => !leaving)
      ),
    },
  });
}

/** The workers' object as the artifacts' object calls it. */
export type WorkerPool = ReturnType<typeof workerPool>;
