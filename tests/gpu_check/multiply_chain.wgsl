// Chains of multiplications and additions in registers: what arithmetic gives where nothing is read. Each
// turn takes what the turn before made, so that no compiler leaves one out.
// Expects: INTEGER (bool, dot4I8Packed instead of fma), THREADS and TURNS (u32).

struct Params {
  seed: u32,
  factor: u32,
}

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;

fn product(x: u32) -> u32 {
  return x + bitcast<u32>(dot4I8Packed(x, params.factor));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = params.seed + 8u * id.x;
  // Eight chains, one beside the other.
  var a = vec4u(first, first + 1u, first + 2u, first + 3u);
  var b = a + 4u;
  var c = vec4f(a % 256u);
  var d = vec4f(b % 256u);
  for (var turn = 0u; turn < TURNS; turn++) {
    if (INTEGER) {
      a = vec4u(product(a.x), product(a.y), product(a.z), product(a.w));
      b = vec4u(product(b.x), product(b.y), product(b.z), product(b.w));
    } else {
      // A half is exact, so the sum is rounded once, fused or not.
      c = fma(c, vec4f(0.5), vec4f(3));
      d = fma(d, vec4f(0.5), vec4f(3));
    }
  }
  let all = a ^ b ^ bitcast<vec4u>(c) ^ bitcast<vec4u>(d);
  y[id.x] = all.x ^ all.y ^ all.z ^ all.w;
}
