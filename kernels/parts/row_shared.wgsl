// What the threads of a workgroup know together of one row, by way of workgroup memory: the same for all
// of them, as compilers see too, so that barriers may depend on it. Sums of floats halve the threads:
// those of the upper half are added to those of the lower one until one is left.
// Expects: THREADS (u32, a power of two).

var<workgroup> row_values: array<f32, THREADS>;
var<workgroup> row_counts: array<i32, THREADS>;
var<workgroup> row_places: array<u32, THREADS>;

// Sum of floats over all threads.
fn sum_of(thread: u32, value: f32) -> f32 {
  row_values[thread] = value;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { row_values[thread] += row_values[thread + half_way]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&row_values[0]);
}

// Sum of whole numbers over all threads.
fn count_of(thread: u32, value: i32) -> i32 {
  row_counts[thread] = value;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) { row_counts[thread] += row_counts[thread + half_way]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&row_counts[0]);
}

// Largest value of all threads.
fn most_of(thread: u32, value: f32) -> f32 {
  row_values[thread] = value;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) {
      row_values[thread] = max(row_values[thread], row_values[thread + half_way]);
    }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&row_values[0]);
}

// The first place that the largest value of all threads has.
fn place_of_most(thread: u32, value: f32, place: u32) -> u32 {
  row_values[thread] = value;
  row_places[thread] = place;
  workgroupBarrier();
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    if (thread < half_way) {
      let other = thread + half_way;
      let better = row_values[other] > row_values[thread] ||
        (row_values[other] == row_values[thread] && row_places[other] < row_places[thread]);
      if (better) {
        row_values[thread] = row_values[other];
        row_places[thread] = row_places[other];
      }
    }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&row_places[0]);
}
