// What the threads of a workgroup know together of one row: the same for all of them, as compilers
// see too, so that barriers may depend on it.
// Expects: THREADS (u32, a power of two from 16 on).

const LOWEST = -3.4028234e38;
const NOWHERE = 0xffffffffu;

const PARTS = 16u;

var<workgroup> values: array<f32, THREADS>;
var<workgroup> partials: array<f32, PARTS>;
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

// Sum over all threads, in a fixed order.
fn total(thread: u32, value: f32) -> f32 {
  values[thread] = value;
  workgroupBarrier();
  // Two steps of many sums instead of many steps of two, for fewer barriers.
  if (thread < PARTS) {
    var sum = 0f;
    for (var i = 0u; i < THREADS / PARTS; i++) { sum += values[thread * (THREADS / PARTS) + i]; }
    partials[thread] = sum;
  }
  let parts = workgroupUniformLoad(&partials);
  var sum = 0f;
  for (var i = 0u; i < PARTS; i++) { sum += parts[i]; }
  return sum;
}
