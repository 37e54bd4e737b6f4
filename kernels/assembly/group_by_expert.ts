@unmanaged
class Args {
  experts: usize;
  tokens: usize;
  places: usize;
  bounds: usize;
  rows: u32;
  chosen: u32;
  count: u32;
}

/** All of it is one task: a counting sort, in which `bounds` has where the next row of an expert goes. */
export function groupByExpert(at: usize, _task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bounds = args.bounds;
  const experts = args.experts;
  const bytes = <usize> args.count * 4;
  const end = <usize> args.rows * 4;
  memory.fill(bounds, 0, bytes + 4);
  for (let i: usize = 0; i < end; i += 4) {
    const place = bounds + <usize> load<u32>(experts + i) * 4;
    store<u32>(place, load<u32>(place) + 1);
  }
  let sum: u32 = 0;
  for (let i: usize = 0; i <= bytes; i += 4) {
    const found = load<u32>(bounds + i);
    store<u32>(bounds + i, sum);
    sum += found;
  }
  for (let i: usize = 0; i < end; i += 4) {
    const place = bounds + <usize> load<u32>(experts + i) * 4;
    const row = load<u32>(place);
    store<u32>(place, row + 1);
    store<u32>(args.tokens + <usize> row * 4, <u32> (i / 4) / args.chosen);
    store<u32>(args.places + i, row);
  }
  // Each has become where the one behind it begins.
  memory.copy(bounds + 4, bounds, bytes);
  store<u32>(bounds, 0);
}
