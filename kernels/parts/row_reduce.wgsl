// What the threads of a workgroup know together of one row.
// Expects: THREADS (u32, a power of two).

const LOWEST = -3.4028234e38;
const NOWHERE = 0xffffffffu;

var<workgroup> values: array<f32, THREADS>;
var<workgroup> places: array<u32, THREADS>;

// Largest value of all threads, with the first place it has.
fn largest(thread: u32, value: f32, place: u32) -> u32 {
  values[thread] = value;
  places[thread] = place;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      let other = thread + half;
      let better = values[other] > values[thread] ||
        (values[other] == values[thread] && places[other] < places[thread]);
      if (better) {
        values[thread] = values[other];
        places[thread] = places[other];
      }
    }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&places[0]);
}

fn total(thread: u32, value: f32) -> f32 {
  values[thread] = value;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { values[thread] += values[thread + half]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&values[0]);
}
