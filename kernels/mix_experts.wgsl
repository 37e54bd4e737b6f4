// y[t] = sum over i of weights[t, i] * x[places[t, i]], plus beside[t] times its gate. One thread a
// quad of a token.
// Expects: SHARED (bool), GATED (bool, the gate is the sigmoid of a score, else 1), THREADS (u32).

struct Params {
  quads: u32,
  chosen: u32,
  width: u32,
  gate: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> beside: array<vec4f>;
@group(0) @binding(4) var<storage, read> scores: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.quads) { return; }
  let token = id.y;
  let first = token * params.chosen;
  var sum = vec4f();
  for (var i = first; i < first + params.chosen; i++) {
    sum = fma(vec4f(weights[i]), x[places[i] * params.quads + id.x], sum);
  }
  let at = token * params.quads + id.x;
  if (SHARED) {
    var factor = 1f;
    if (GATED) { factor = 1f / (1f + exp(-scores[token * params.width + params.gate])); }
    sum = fma(vec4f(factor), beside[at], sum);
  }
  y[at] = sum;
}
