/**
 * Which rows a task of rows is, where rows lie expert by expert between bounds: the task of this number
 * among those with up to `taskRows` rows of one of `count` experts from `first` on. Its expert (of
 * these), its rows and its first row are given in 16, 16 and 32 bits; 0 rows where there is no such task.
 */
export function expertTile(
  bounds: usize,
  first: u32,
  count: u32,
  taskRows: u32,
  task: u32,
): u64 {
  let left = task;
  let at = bounds + <usize> first * 4;
  let row = load<u32>(at);
  for (let expert: u32 = 0; expert < count; expert++) {
    at += 4;
    const end = load<u32>(at);
    const tiles = (end - row + taskRows - 1) / taskRows;
    if (left < tiles) {
      const from = row + left * taskRows;
      return (<u64> expert << 48) | (<u64> min(taskRows, end - from) << 32) | <u64> from;
    }
    left -= tiles;
    row = end;
  }
  return 0;
}

/** The expert of a tile. */
export function tileExpert(tile: u64): u32 {
  return <u32> (tile >> 48);
}

/** How many rows a tile has. */
export function tileRows(tile: u64): u32 {
  return <u32> (tile >> 32) & 0xffff;
}

/** The first row of a tile. */
export function tileFirst(tile: u64): u32 {
  return <u32> tile;
}
