// Takes rows of query, key and value heads apart, turns the query and key heads, and sends each of
// those through the Hadamard transform of a head, times params.scale. A workgroup makes a token's head.
// Expects: parts/rope_bindings.wgsl, parts/rope_pair.wgsl and what it expects, SIZE (u32, channels of a head, a power of two),
// THREADS (u32).

var<workgroup> tile: array<f32, SIZE>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = group.x;
  let token = group.y;
  let keys_from = params.heads;
  let values_from = keys_from + params.kv_heads;
  for (var pair = thread; pair < SIZE / 2u; pair += THREADS) {
    let place = place_of(pair);
    let turned = turned_pair(token, head, pair);
    tile[place.x] = turned.x;
    tile[place.y] = turned.y;
  }
  workgroupBarrier();
  if (head >= values_from) {
    let to = (token * params.kv_heads + head - values_from) * SIZE;
    for (var d = thread; d < SIZE; d += THREADS) { v[to + d] = tile[d]; }
    return;
  }
  for (var half = 1u; half < SIZE; half *= 2u) {
    for (var i = thread; i < SIZE / 2u; i += THREADS) {
      let at = i / half * 2u * half + i % half;
      let pair = vec2f(tile[at], tile[at + half]);
      tile[at] = pair.x + pair.y;
      tile[at + half] = pair.x - pair.y;
    }
    workgroupBarrier();
  }
  if (head < keys_from) {
    let to = (token * params.heads + head) * SIZE;
    for (var d = thread; d < SIZE; d += THREADS) { q[to + d] = params.scale * tile[d]; }
  } else {
    let to = (token * params.kv_heads + head - keys_from) * SIZE;
    for (var d = thread; d < SIZE; d += THREADS) { k[to + d] = params.scale * tile[d]; }
  }
}
