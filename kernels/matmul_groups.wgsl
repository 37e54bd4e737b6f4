// y[m, column + n] = sum over groups of x_scale[m, g] * w_scale[n, g] * sum over k of x[m, k] * (q[n, k] - z[n, g]).
// A workgroup of 256 threads stages up to 64 inner values of a group, as words of 4 bytes, of TILE rows
// and TILE columns; each thread makes a square of TILE / 16 rows and columns.
// Expects: parts/matmul_groups.wgsl, parts/expert_rows.wgsl, TILE (u32, a multiple of 16).

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
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let span = span_of(id.z);
  let first_row = id.y * TILE;
  if (first_row >= span.rows) { return; }
  let first_column = id.x * TILE;
  let across = thread % SIDE;
  let down = thread / SIDE;
  var total: array<array<f32, EACH>, EACH>;
  for (var group = 0u; group < params.inner / params.group; group++) {
    var sum = array<array<i32, EACH>, EACH>();
    let end = (group + 1u) * params.group;
    for (var k = group * params.group; k < end; k += STEP) {
      for (var load = thread; load < TILE * WORDS; load += THREADS) {
        let line = load / WORDS;
        let word = load % WORDS;
        var held = 0u;
        if (k + 4u * word < end && first_row + line < span.rows) {
          held = x[((span.first + first_row + line) * params.inner + k) / 4u + word];
        }
        x_tile[word * STRIDE + line] = held;
      }
      for (var load = thread; load < TILE * WORDS / 2u; load += THREADS) {
        let line = load / (WORDS / 2u);
        let pair = load % (WORDS / 2u);
        let at = k / 8u + pair;
        var held = vec2u();
        if (8u * at < end && first_column + line < params.columns) {
          held = weights_of(span.weight + first_column + line, at);
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
        let m = span.first + min(first_row + down + SIDE * i, span.rows - 1u);
        let n = span.weight + min(first_column + across + SIDE * j, params.columns - 1u);
        total[i][j] = add_group(total[i][j], scaled(sum[i][j], n, m, group), m, group);
      }
    }
  }
  for (var i = 0u; i < EACH; i++) {
    for (var j = 0u; j < EACH; j++) {
      let row = first_row + down + SIDE * i;
      let n = first_column + across + SIDE * j;
      if (row < span.rows && n < params.columns) { write(span.first + row, n, total[i][j]); }
    }
  }
}
