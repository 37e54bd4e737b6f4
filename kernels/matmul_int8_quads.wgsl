// y[m, column + n] = w_scale[n] * x_scale[m] * sum over k of x[m, k] * w8[n, k], less the zero's part.
// A workgroup of 256 threads stages 64 inner values, 16 of a row in a vector, of HIGH rows and TILE columns;
// each thread makes HIGH / 16 rows of TILE / 16 columns.
// Expects: parts/matmul_int8_quads.wgsl and what it expects, parts/expert_rows.wgsl, HIGH and TILE (u32,
// multiples of 16).

const SIDE = 16u;
const STEP = 64u;
const QUADS = STEP / 16u;
const DOWN = HIGH / SIDE;
const ACROSS = TILE / SIDE;
const THREADS = SIDE * SIDE;
// One more than needed keeps rows that are read side by side out of each other's banks.
const PITCH = QUADS + 1u;

var<workgroup> x_tile: array<vec4u, HIGH * PITCH>;
var<workgroup> w_tile: array<vec4u, TILE * PITCH>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let span = span_of(group.z);
  let first_row = group.y * HIGH;
  if (first_row >= span.rows) { return; }
  let first_column = group.x * TILE;
  let across = thread % SIDE;
  let down = thread / SIDE;
  var sum: array<array<i32, ACROSS>, DOWN>;
  for (var k = 0u; k < params.inner; k += STEP) {
    for (var load = thread; load < HIGH * QUADS; load += THREADS) {
      let line = load / QUADS;
      let quad = load % QUADS;
      var held = vec4u();
      if (k + 16u * quad < params.inner && first_row + line < span.rows) {
        held = x[(span.first + first_row + line) * (params.inner / 16u) + k / 16u + quad];
      }
      x_tile[line * PITCH + quad] = held;
    }
    for (var load = thread; load < TILE * QUADS; load += THREADS) {
      let line = load / QUADS;
      let quad = load % QUADS;
      var held = vec4u();
      if (k + 16u * quad < params.inner && first_column + line < params.columns) {
        let row = span.weight + first_column + line;
        let at = k / 32u + quad / 2u;
        held = half_of(run_of(row, at), quad % 2u, group_of(row, at));
      }
      w_tile[line * PITCH + quad] = held;
    }
    workgroupBarrier();
    for (var quad = 0u; quad < QUADS; quad++) {
      var values: array<vec4u, DOWN>;
      for (var i = 0u; i < DOWN; i++) { values[i] = x_tile[(down + SIDE * i) * PITCH + quad]; }
      for (var j = 0u; j < ACROSS; j++) {
        let weights = w_tile[(across + SIDE * j) * PITCH + quad];
        for (var i = 0u; i < DOWN; i++) { sum[i][j] = add_dots(sum[i][j], values[i], weights); }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < DOWN; i++) {
    for (var j = 0u; j < ACROSS; j++) {
      let row = first_row + down + SIDE * i;
      let n = first_column + across + SIDE * j;
      if (row < span.rows && n < params.columns) {
        write(span.first + row, n, span.weight + n, sum[i][j]);
      }
    }
  }
}
