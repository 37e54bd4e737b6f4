// What the threads of some columns have found, added up by their subgroup: all of them then have all sums.
// Expects: SUMS (u32), SHARE (u32, threads of a column: a power of two, at most the size of a subgroup, in
// which threads stand in order).

const TOGETHER = min(SUMS, SHARE);

fn add_up(sums: ptr<function, array<i32, SUMS>>, _thread: u32) {
  for (var s = 0u; s < SUMS; s++) {
    var sum = (*sums)[s];
    for (var half_way = SHARE / 2u; half_way > 0u; half_way /= 2u) {
      sum += subgroupShuffleXor(sum, half_way);
    }
    (*sums)[s] = sum;
  }
}
