/** Which names each name needs before it. */
export type Needs = ReadonlyMap<string, readonly string[]>;

/**
 * Names in an order where needs come first and the given order decides among the free ones.
 *
 * Names on a circle are left out of `order` and listed in `cycles`, one list a circle; names behind
 * a circle are ordered as if it were broken, so that everything else can still be checked.
 */
export function sortByNeeds(
  needs: Needs,
): { readonly order: readonly string[]; readonly cycles: readonly (readonly string[])[] } {
  const names = [...needs.keys()];
  const rank = new Map(names.map((name, i) => [name, i]));
  const left = new Set(names);
  const blockers = (name: string) => (needs.get(name) ?? []).filter((need) => left.has(need));
  const waiting = new Map(names.map((name) => [name, new Set(blockers(name)).size]));
  const waiters = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const name of names) {
    for (const need of new Set(blockers(name))) waiters.get(need)?.push(name);
  }
  /** Ranks of names without blockers, the first last. */
  const free: number[] = [];
  names.forEach((name, i) => waiting.get(name) === 0 && free.unshift(i));
  const order: string[] = [];
  const cycles: string[][] = [];
  const release = (name: string) => {
    left.delete(name);
    for (const waiter of waiters.get(name) ?? []) {
      const number = (waiting.get(waiter) ?? 0) - 1;
      waiting.set(waiter, number);
      if (number === 0 && left.has(waiter)) insert(free, rank.get(waiter) ?? 0);
    }
  };
  while (left.size > 0) {
    const name = names[free.pop() ?? -1];
    if (name !== undefined) {
      order.push(name);
      release(name);
      continue;
    }
    const cycle = walk(left, blockers);
    cycles.push(cycle);
    for (const name of cycle) left.delete(name);
    for (const name of cycle) release(name);
  }
  return { order, cycles };
}

/** Puts a number in its place among falling ones. */
function insert(falling: number[], number: number): void {
  let [low, high] = [0, falling.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((falling[middle] ?? 0) > number) low = middle + 1;
    else high = middle;
  }
  falling.splice(low, 0, number);
}

/** Follows needs among names none of which is free until one comes up again. */
function walk(left: ReadonlySet<string>, blockers: (name: string) => readonly string[]): string[] {
  const [start] = left;
  const trail: string[] = [];
  for (let name = start; name !== undefined; name = blockers(name)[0]) {
    const met = trail.indexOf(name);
    if (met >= 0) return trail.slice(met);
    trail.push(name);
  }
  return trail;
}
