// Sums of a row in another order than that of row_shared.wgsl, and marks of rows without a value.
// Expects: THREADS (u32, a power of two from 16 on).

const LOWEST = -3.4028234e38;
const NOWHERE = 0xffffffffu;

const PARTS = 16u;

var<workgroup> values: array<f32, THREADS>;
var<workgroup> partials: array<f32, PARTS>;

// Sum over all threads, in a fixed order: by parts of threads that stand beside each other. They are of
// any number of subgroups, so that workgroup memory holds them whatever the plan.
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
