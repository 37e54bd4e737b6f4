// Pairs of query and key heads, (x[d], x[d + pairs]) or neighbours, turned by the angles of their
// position; keys are then taken less of what `center` holds for their head. The table holds, for each
// position, so many cosines and then as many sines.
// Expects: bindings x, positions, angles and center, params.heads, kv_heads, half and pairs, NEIGHBOURS
// (bool), CENTERED (bool, keys have a center), STILL_KEYS (bool, keys stay as they are).

// Channels of a pair; behind those that turn, neighbours are one.
fn place_of(pair: u32) -> vec2u {
  if (pair < params.pairs && !NEIGHBOURS) { return vec2u(pair, pair + params.pairs); }
  return vec2u(2u * pair, 2u * pair + 1u);
}

// What a pair of a token's head becomes; heads of values stay as they are.
fn turned_pair(token: u32, head: u32, pair: u32) -> vec2f {
  let all = params.heads + 2u * params.kv_heads;
  let from_channel = (token * all + head) * 2u * params.half;
  let place = place_of(pair);
  let given = vec2f(x[from_channel + place.x], x[from_channel + place.y]);
  if (head >= params.heads + params.kv_heads) { return given; }
  var turned = given;
  if (pair < params.pairs && !(STILL_KEYS && head >= params.heads)) {
    let angle = positions[token] * 2u * params.pairs + pair;
    let cosine = angles[angle];
    let sine = angles[angle + params.pairs];
    turned = vec2f(given.x * cosine - given.y * sine, given.y * cosine + given.x * sine);
  }
  if (!CENTERED || head < params.heads) { return turned; }
  let shared_from = (head - params.heads) * 2u * params.half;
  return turned - vec2f(center[shared_from + place.x], center[shared_from + place.y]);
}
