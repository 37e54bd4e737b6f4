import type { WorkerCard } from "./wire.ts";

/** A worker that has joined; it has a ticket while it works at an order. */
export interface Seat extends WorkerCard {
  /** What the server calls its address. */
  readonly deployment: string;
  /** Of the order that has the worker. */
  readonly ticket?: string;
  /** It takes no more orders. */
  readonly leaving?: boolean;
}

/** The workers, and the tickets of orders that wait for one, the oldest first. */
export interface SeatPool {
  readonly seats: readonly Seat[];
  readonly waiting: readonly string[];
}

/** A pool after something happened, whom that gave a worker, and who is gone. */
export interface Change {
  readonly pool: SeatPool;
  readonly given: readonly { readonly ticket: string; readonly worker: string }[];
  readonly gone: readonly Seat[];
}

/** A pool without workers. */
export const EMPTY: SeatPool = { seats: [], waiting: [] };

/** Adds a worker; joining again changes nothing but its address. */
export function join(pool: SeatPool, seat: Seat): Change {
  const before = pool.seats.find(({ name }) => name === seat.name);
  const others = pool.seats.filter((one) => one !== before);
  return match({ ...pool, seats: [...others, { ...before, ...seat }] });
}

/** Takes a worker out; one that is at work is gone when its order is over. */
export function leave(pool: SeatPool, name: string): Change {
  const seats = pool.seats.map((seat) => seat.name === name ? { ...seat, leaving: true } : seat);
  return match({ ...pool, seats });
}

/** Asks for a worker. */
export function take(pool: SeatPool, ticket: string): Change {
  return match({ ...pool, waiting: [...pool.waiting, ticket] });
}

/** Ends a ticket: its order waits no more, or its worker is free again unless it is lost. */
export function giveBack(
  pool: SeatPool,
  { ticket, lost }: { readonly ticket: string; readonly lost: boolean },
): Change {
  const waiting = pool.waiting.filter((one) => one !== ticket);
  const held = pool.seats.find((seat) => seat.ticket === ticket);
  if (held === undefined) return match({ ...pool, waiting });
  const others = pool.seats.filter((seat) => seat !== held);
  if (lost) {
    const change = match({ seats: others, waiting });
    return { ...change, gone: [...change.gone, held] };
  }
  const { ticket: _, ...free } = held;
  return match({ seats: [...others, free], waiting });
}

/**
 * Gives free workers to waiting orders and lets go of those that leave.
 *
 * The worker that was heard of last is taken first: the longer one is silent, the likelier it died.
 */
function match({ seats, waiting }: SeatPool): Change {
  const gone = seats.filter(({ leaving, ticket }) => leaving && ticket === undefined);
  const stay = seats.filter((seat) => !gone.includes(seat));
  const free = stay.filter(({ ticket }) => ticket === undefined).reverse();
  const given = waiting.slice(0, free.length)
    .map((ticket, i) => ({ ticket, worker: free[i]!.name }));
  const tickets = new Map(given.map(({ ticket, worker }) => [worker, ticket]));
  return {
    pool: {
      seats: stay.map((seat) => {
        const ticket = tickets.get(seat.name);
        return ticket === undefined ? seat : { ...seat, ticket };
      }),
      waiting: waiting.slice(given.length),
    },
    given,
    gone,
  };
}
