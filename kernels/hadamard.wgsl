// y = x kron(left, S) / sqrt(n), row by row: a row is order * SPLIT blocks of 4 * QUADS values. A
// workgroup makes four blocks of some rows: it mixes all blocks of x by four columns of
// kron(left, Sylvester matrix of order SPLIT), then runs the fast Walsh-Hadamard transform on each
// in workgroup memory.
// Expects: LEFT (bool; false stands for the left factor 1), SPLIT (u32, 1 or a power of two from 4),
// QUADS (u32, a power of two), THREADS (u32, a power of two).

struct Params {
  rows: u32,
  order: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> left: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

const ROWS = max(1u, THREADS / QUADS);
const ITEMS = ROWS * QUADS;

var<workgroup> tile: array<vec4f, 4u * ITEMS>;

// Columns 4 * at to 4 * at + 3 of row i of kron(left, Sylvester matrix of order SPLIT).
fn entries(i: u32, at: u32) -> vec4f {
  if (SPLIT == 1u) { return left[i * (params.order / 4u) + at]; }
  let j = 4u * at;
  let shared_ones = countOneBits(vec4u(i % SPLIT) & (vec4u(j % SPLIT) + vec4u(0u, 1u, 2u, 3u)));
  let signs = vec4f(1) - 2f * vec4f(shared_ones & vec4u(1u));
  if (!LEFT) { return signs; }
  let index = i / SPLIT * params.order + j / SPLIT;
  return signs * left[index / 4u][index % 4u];
}

// The transform over the four values of a quad.
fn within(quad: vec4f) -> vec4f {
  let sums = quad.xz + quad.yw;
  let differences = quad.xz - quad.yw;
  return vec4f(
    sums.x + sums.y,
    differences.x + differences.y,
    sums.x - sums.y,
    differences.x - differences.y,
  );
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let blocks = params.order * SPLIT;
  for (var item = thread; item < ITEMS; item += THREADS) {
    let row = min(group.y * ROWS + item / QUADS, params.rows - 1u);
    let first = row * blocks * QUADS + item % QUADS;
    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    for (var i = 0u; i < blocks; i++) {
      let value = x[first + i * QUADS];
      let factors = entries(i, group.x);
      s0 += value * factors.x;
      s1 += value * factors.y;
      s2 += value * factors.z;
      s3 += value * factors.w;
    }
    let at = item / QUADS * 4u * QUADS + item % QUADS;
    tile[at] = params.scale * within(s0);
    tile[at + QUADS] = params.scale * within(s1);
    tile[at + 2u * QUADS] = params.scale * within(s2);
    tile[at + 3u * QUADS] = params.scale * within(s3);
  }
  workgroupBarrier();
  // Two steps of the transform at a time, one before where their number is odd.
  var half = 1u;
  if (countTrailingZeros(QUADS) % 2u == 1u) {
    for (var item = thread; item < 2u * ITEMS; item += THREADS) {
      let a = tile[2u * item];
      let b = tile[2u * item + 1u];
      tile[2u * item] = a + b;
      tile[2u * item + 1u] = a - b;
    }
    half = 2u;
    workgroupBarrier();
  }
  for (; half < QUADS; half *= 4u) {
    for (var item = thread; item < ITEMS; item += THREADS) {
      let at = item / half * 4u * half + item % half;
      let a = tile[at] + tile[at + half];
      let b = tile[at] - tile[at + half];
      let c = tile[at + 2u * half] + tile[at + 3u * half];
      let d = tile[at + 2u * half] - tile[at + 3u * half];
      tile[at] = a + c;
      tile[at + half] = b + d;
      tile[at + 2u * half] = a - c;
      tile[at + 3u * half] = b - d;
    }
    workgroupBarrier();
  }
  for (var item = thread; item < 4u * ITEMS; item += THREADS) {
    let row = group.y * ROWS + item / (4u * QUADS);
    if (row < params.rows) {
      y[(row * blocks + 4u * group.x) * QUADS + item % (4u * QUADS)] = tile[item];
    }
  }
}
