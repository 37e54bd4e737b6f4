// y[m, column + n] = w_scale[n] * x_scale[m] * sum over k of x[m, k] * w8[n, k], less the zero's part.
// A workgroup of 256 threads stages 64 inner values, as words of 4 bytes,
// of TILE rows and TILE columns; each thread makes a square of TILE / 16 rows and columns.
// Expects: parts/matmul_int8.wgsl, parts/expert_rows.wgsl, TILE (u32, a multiple of 16).

const SIDE = 16u;
const STEP = 64u;
const WORDS = STEP / 4u;
const EACH = TILE / SIDE;
const THREADS = SIDE * SIDE;
// One more column than needed keeps threads of a column out of each other's banks.
const STRIDE = TILE + 1u;

var<workgroup> x_tile: array<u32, WORDS * STRIDE>;
var<workgroup> w_tile: array<u32, WORDS * STRIDE>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let span = span_of(group.z);
  let first_row = group.y * TILE;
  if (first_row >= span.rows) { return; }
  let first_column = group.x * TILE;
  let across = thread % SIDE;
  let down = thread / SIDE;
  var sum: array<array<i32, EACH>, EACH>;
  for (var k = 0u; k < params.inner; k += STEP) {
    for (var load = thread; load < TILE * WORDS; load += THREADS) {
      let line = load / WORDS;
      let word = load % WORDS;
      let row = span.first + first_row + line;
      var held = 0u;
      if (k + 4u * word < params.inner && first_row + line < span.rows) {
        held = x[(row * params.inner + k) / 4u + word];
      }
      x_tile[word * STRIDE + line] = held;
    }
    for (var load = thread; load < TILE * WORDS / 2u; load += THREADS) {
      let line = load / (WORDS / 2u);
      let pair = load % (WORDS / 2u);
      let at = k / 8u + pair;
      var held = vec2u();
      if (8u * at < params.inner && first_column + line < params.columns) {
        let row = span.weight + first_column + line;
        held = weights_of(row, at, group_of(row, 8u * at));
      }
      w_tile[2u * pair * STRIDE + line] = held.x;
      w_tile[(2u * pair + 1u) * STRIDE + line] = held.y;
    }
    workgroupBarrier();
    for (var word = 0u; word < WORDS; word++) {
      var xs: array<u32, EACH>;
      var ws: array<u32, EACH>;
      for (var i = 0u; i < EACH; i++) {
        xs[i] = x_tile[word * STRIDE + down + SIDE * i];
        ws[i] = w_tile[word * STRIDE + across + SIDE * i];
      }
      for (var i = 0u; i < EACH; i++) {
        for (var j = 0u; j < EACH; j++) {
          sum[i][j] += dot4I8Packed(xs[i], ws[j]);
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < EACH; i++) {
    for (var j = 0u; j < EACH; j++) {
      let row = first_row + down + SIDE * i;
      let n = first_column + across + SIDE * j;
      if (row < span.rows && n < params.columns) {
        write(span.first + row, n, span.weight + n, sum[i][j]);
      }
    }
  }
}
