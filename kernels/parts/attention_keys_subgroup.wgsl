// Scores of KEYS keys and their weights, each once: SHARE threads of one subgroup make a block and hand its
// largest score round, which is the same in any order.
// Expects: parts/attention_slice.wgsl, SHARE (u32, a power of two up to 16, at most the size of a
// subgroup, in which threads stand in order).

const WEIGHED = true;

const SHARED_KEYS = BLOCK / SHARE;
const BLOCKS_AT_ONCE = THREADS / SHARE;

fn score_keys(query: Query, here: u32, end: u32, head: u32, thread: u32) {
  for (var from_block = 0u; from_block < BLOCKS; from_block += BLOCKS_AT_ONCE) {
    let block = from_block + thread / SHARE;
    let first = block * BLOCK + thread % SHARE;
    var mine: array<f32, SHARED_KEYS>;
    var most = LOWEST;
    for (var i = 0u; i < SHARED_KEYS; i++) {
      mine[i] = LOWEST;
      if (block < BLOCKS) { mine[i] = score_in_sight(query, here + first + i * SHARE, end, head); }
      most = max(most, mine[i]);
    }
    for (var half_way = SHARE / 2u; half_way > 0u; half_way /= 2u) {
      most = max(most, subgroupShuffleXor(most, half_way));
    }
    if (block < BLOCKS) {
      if (thread % SHARE == 0u) { maxima[block] = most; }
      for (var i = 0u; i < SHARED_KEYS; i++) { scores[first + i * SHARE] = weight_of(mine[i], most); }
    }
  }
}
