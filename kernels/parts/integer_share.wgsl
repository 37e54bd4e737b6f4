// What the threads of some columns have found, added up by way of workgroup memory, TOGETHER sums at once:
// thread s % TOGETHER of a column then has sum s.
// Expects: SUMS (u32), SHARE (u32, threads of a column: a power of two from 8 on), of 256 threads.

const TOGETHER = min(SUMS, 8u);
// One more than the threads keeps those that add up out of each other's banks.
const FOUND = 257u;

var<workgroup> found: array<i32, TOGETHER * FOUND>;

fn add_up(sums: ptr<function, array<i32, SUMS>>, thread: u32) {
  let part = thread % SHARE;
  for (var first = 0u; first < SUMS; first += TOGETHER) {
    for (var i = 0u; i < TOGETHER; i++) { found[i * FOUND + thread] = (*sums)[first + i]; }
    workgroupBarrier();
    var sum = 0;
    if (part < TOGETHER) {
      for (var i = 0u; i < SHARE; i++) { sum += found[part * FOUND + thread - part + i]; }
    }
    for (var i = 0u; i < TOGETHER; i++) { (*sums)[first + i] = sum; }
    workgroupBarrier();
  }
}
