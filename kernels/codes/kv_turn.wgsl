// Keys turned by the angles of their place when they are read: channels d and d + pairs, or neighbours, as
// parts/rope_pair.wgsl has them. Sums are fma, as all of attention's.
// Expects: codes/kv_read.wgsl and what it expects, angles (array<f32>: for each place cosines, then sines),
// NEIGHBOURS (bool).

fn four_angles(at: u32) -> vec4f {
  return vec4f(angles[at], angles[at + 1u], angles[at + 2u], angles[at + 3u]);
}

// 8 channels of the key at a place of a sequence, from a channel on.
fn turned_key(page: u32, head: u32, place: u32, channel: u32) -> array<vec4f, 2> {
  let own = key_at(page, head, place, channel);
  let pairs = params.pairs;
  if (channel >= 2u * pairs) { return own; }
  let table = (place - LEAD) * 2u * pairs;
  if (NEIGHBOURS) {
    let cosine = four_angles(table + channel / 2u);
    let sine = four_angles(table + pairs + channel / 2u);
    let even = vec4f(own[0].x, own[0].z, own[1].x, own[1].z);
    let odd = vec4f(own[0].y, own[0].w, own[1].y, own[1].w);
    let low = fma(even, cosine, -odd * sine);
    let high = fma(odd, cosine, even * sine);
    return array(vec4f(low.x, high.x, low.y, high.y), vec4f(low.z, high.z, low.w, high.w));
  }
  let lower = channel < pairs;
  let other_channel = select(channel - pairs, channel + pairs, lower);
  let other = key_at(page, head, place, other_channel);
  let pair = table + min(channel, other_channel);
  let sign = select(1f, -1f, lower);
  return array(
    fma(own[0], four_angles(pair), sign * other[0] * four_angles(pair + pairs)),
    fma(own[1], four_angles(pair + 4u), sign * other[1] * four_angles(pair + pairs + 4u)),
  );
}
