// Takes rows of query, key and value heads apart and turns the query and key heads. One thread a pair;
// behind those that turn, neighbours are one.
// Expects: parts/rope_bindings.wgsl, parts/rope_pair.wgsl and what it expects, THREADS (u32).

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.y;
  let half = params.half;
  let head = id.x / half;
  let pair = id.x % half;
  let keys_from = params.heads;
  let values_from = keys_from + params.kv_heads;
  if (head >= values_from + params.kv_heads) { return; }
  let place = place_of(pair);
  let turned = turned_pair(token, head, pair);
  if (head >= values_from) {
    let to = (token * params.kv_heads + head - values_from) * 2u * half;
    v[to + place.x] = turned.x;
    v[to + place.y] = turned.y;
  } else if (head < keys_from) {
    let to = (token * params.heads + head) * 2u * half;
    q[to + place.x] = turned.x;
    q[to + place.y] = turned.y;
  } else {
    let to = (token * params.kv_heads + head - keys_from) * 2u * half;
    k[to + place.x] = turned.x;
    k[to + place.y] = turned.y;
  }
}
