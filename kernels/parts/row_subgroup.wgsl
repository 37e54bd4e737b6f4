// What the threads of a workgroup know together of one row, as row_shared.wgsl has it, with the bits of
// that: SHARE threads of one subgroup hand values round among themselves, and workgroup memory holds what
// the workgroup's subgroups have. Sums of floats are added in the same pairs: first those of threads that
// are multiples of SHARE apart, by each thread for itself, then those within the subgroup.
// Expects: THREADS (u32, a power of two), SHARE (u32, a power of two, at most the size of a subgroup, in
// which threads stand in order).

const SHARES = THREADS / SHARE;

var<workgroup> row_values: array<f32, THREADS>;
var<workgroup> row_counts: array<i32, SHARES>;
var<workgroup> row_most: array<f32, SHARES>;
var<workgroup> row_places: array<vec2u, SHARES>;

fn sum_of(thread: u32, value: f32) -> f32 {
  // Behind what is read of an earlier sum.
  workgroupBarrier();
  row_values[thread] = value;
  workgroupBarrier();
  var sums: array<f32, SHARES>;
  for (var i = 0u; i < SHARES; i++) { sums[i] = row_values[i * SHARE + thread % SHARE]; }
  for (var half_way = SHARES / 2u; half_way > 0u; half_way /= 2u) {
    for (var i = 0u; i < half_way; i++) { sums[i] += sums[i + half_way]; }
  }
  var sum = sums[0];
  for (var half_way = SHARE / 2u; half_way > 0u; half_way /= 2u) {
    sum += subgroupShuffleXor(sum, half_way);
  }
  return sum;
}

fn count_of(thread: u32, value: i32) -> i32 {
  var sum = value;
  for (var half_way = SHARE / 2u; half_way > 0u; half_way /= 2u) {
    sum += subgroupShuffleXor(sum, half_way);
  }
  if (thread % SHARE == 0u) { row_counts[thread / SHARE] = sum; }
  let all = workgroupUniformLoad(&row_counts);
  var total = 0i;
  for (var i = 0u; i < SHARES; i++) { total += all[i]; }
  return total;
}

fn most_of(thread: u32, value: f32) -> f32 {
  var most = value;
  for (var half_way = SHARE / 2u; half_way > 0u; half_way /= 2u) {
    most = max(most, subgroupShuffleXor(most, half_way));
  }
  if (thread % SHARE == 0u) { row_most[thread / SHARE] = most; }
  let all = workgroupUniformLoad(&row_most);
  most = all[0];
  for (var i = 1u; i < SHARES; i++) { most = max(most, all[i]); }
  return most;
}

fn place_of_most(thread: u32, value: f32, place: u32) -> u32 {
  var most = value;
  var first = place;
  for (var half_way = SHARE / 2u; half_way > 0u; half_way /= 2u) {
    let other = subgroupShuffleXor(most, half_way);
    let there = subgroupShuffleXor(first, half_way);
    if (other > most || (other == most && there < first)) {
      most = other;
      first = there;
    }
  }
  if (thread % SHARE == 0u) { row_places[thread / SHARE] = vec2u(bitcast<u32>(most), first); }
  let all = workgroupUniformLoad(&row_places);
  most = bitcast<f32>(all[0].x);
  first = all[0].y;
  for (var i = 1u; i < SHARES; i++) {
    let other = bitcast<f32>(all[i].x);
    if (other > most || (other == most && all[i].y < first)) {
      most = other;
      first = all[i].y;
    }
  }
  return first;
}
