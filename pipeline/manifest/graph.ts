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
  const left = new Set(needs.keys());
  const order: string[] = [];
  const cycles: string[][] = [];
  const blockers = (name: string) => (needs.get(name) ?? []).filter((need) => left.has(need));
  while (left.size > 0) {
    const free = [...left].find((name) => blockers(name).length === 0);
    if (free !== undefined) {
      order.push(free);
      left.delete(free);
      continue;
    }
    const cycle = walk(left, blockers);
    cycles.push(cycle);
    for (const name of cycle) left.delete(name);
  }
  return { order, cycles };
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
