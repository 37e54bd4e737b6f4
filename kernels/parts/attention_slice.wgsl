// Causal attention with online softmax over pages of codes: y = softmax(scale * q k^T) v, a head at
// a time.
// For decoding: a workgroup makes one query of a sequence, as `work` says, for one head, KEYS keys of a
// slice at a time. Threads first score a key each, then make the sums of a block by 8 channels, then
// merge blocks, 4 channels each. Sums are in the order of parts/attention_blocks.wgsl.
// Expects: codes/kv_page.wgsl, codes/kv_read.wgsl and what they expect, its bindings, turned_key() as
// codes/kv_turn.wgsl has it, parts/attention_blocks.wgsl,
// score_keys() as parts/attention_keys.wgsl has it, parts/soft_cap.wgsl and what it expects, TURNED (bool, turned_key() turns keys), PARTS (u32, workgroups
// that share an item of work), KEYS (u32, a multiple of 16).

const THREADS = 128u;
const QUADS = SIZE / 4u;
// Quads of a head whose last eight channels are filled up.
const HELD_QUADS = 2u * OCTETS;
const BLOCKS = KEYS / BLOCK;
// Blocks that are made at once.
const AT_ONCE = THREADS / OCTETS;
const MINE = (QUADS + THREADS - 1u) / THREADS;

var<workgroup> q_row: array<vec4f, QUADS>;
var<workgroup> scores: array<f32, KEYS>;
// Of each block: the maximum of its scores, the sum of its weights, and of values times them.
var<workgroup> maxima: array<f32, BLOCKS>;
var<workgroup> weights: array<f32, BLOCKS>;
var<workgroup> sums: array<vec4f, BLOCKS * HELD_QUADS>;

fn score(span: Span, index: u32, head: u32) -> f32 {
  let page = block_table[span.table + index / PAGE] * params.key_words;
  let token = index % PAGE;
  var sum = 0f;
  if (TURNED || index < CODED) {
    for (var channel = 0u; channel < SIZE; channel += 8u) {
      let part = turned_key(page, head, index, channel);
      sum = add_four(sum, q_row[channel / 4u], part[0]);
      if (channel + 4u < SIZE) { sum = add_four(sum, q_row[channel / 4u + 1u], part[1]); }
    }
    return sum;
  }
  for (var first = 0u; first < SIZE; first += KEY_GROUP) {
    let scale = key_scale(page, head, token, first);
    if (KEY_LOADS) {
      // A thread reads a key of its own: by single words, threads of a subgroup would ask for all lines of
      // memory again and again.
      for (var channel = first; channel < first + KEY_GROUP; channel += KEY_LOAD) {
        let words = k[(page + codes_at(KEY_BITS, head, token, channel)) / 4u];
        for (var octet = 0u; octet < KEY_LOAD / 8u; octet++) {
          let part = part_of_key(words, octet, scale);
          sum = add_four(sum, q_row[channel / 4u + 2u * octet], part[0]);
          sum = add_four(sum, q_row[channel / 4u + 2u * octet + 1u], part[1]);
        }
      }
      continue;
    }
    for (var channel = first; channel < first + KEY_GROUP; channel += 8u) {
      let part = key(page, head, token, channel, scale);
      sum = add_four(sum, q_row[channel / 4u], part[0]);
      if (channel + 4u < SIZE) { sum = add_four(sum, q_row[channel / 4u + 1u], part[1]); }
    }
  }
  return sum;
}

// The score of a key before `end`, or LOWEST where the query does not see it.
fn score_in_sight(query: Query, index: u32, end: u32, head: u32) -> f32 {
  if (index < LEAD || index >= end || index + params.window <= query.place) { return LOWEST; }
  return soft_capped(score(query.span, index, head), params.cap);
}

// Makes the sums of a block by 8 channels; `first` is its first key.
fn make_block(span: Span, block: u32, first: u32, head: u32, octet: u32) {
  var most = LOWEST;
  if (WEIGHED) {
    most = maxima[block];
  } else {
    for (var i = 0u; i < BLOCK; i++) { most = max(most, scores[block * BLOCK + i]); }
    if (octet == 0u) { maxima[block] = most; }
  }
  if (most == LOWEST) { return; }
  let page = block_table[span.table + first / PAGE] * params.value_words;
  var sum = array(vec4f(), vec4f());
  var all = 0f;
  for (var i = 0u; i < BLOCK; i++) {
    let place = clamp(first + i, LEAD, span.keys - 1u);
    let part = value_at(page, head, place, 8u * octet);
    var weight = scores[block * BLOCK + i];
    if (!WEIGHED) { weight = weight_of(weight, most); }
    all += weight;
    sum = array(fma(vec4f(weight), part[0], sum[0]), fma(vec4f(weight), part[1], sum[1]));
  }
  if (octet == 0u) { weights[block] = all; }
  sums[block * HELD_QUADS + 2u * octet] = sum[0];
  sums[block * HELD_QUADS + 2u * octet + 1u] = sum[1];
}

// What a workgroup makes.
struct Query {
  span: Span,
  // Whether the sequence has this query; what pads a batch has none.
  there: bool,
  // First quad of its row in q and in y.
  row: u32,
  // Its place in the sequence, and the first block with a key it sees.
  place: u32,
  start: u32,
}

fn query_of(group: vec3u) -> Query {
  let item = work[group.x / PARTS];
  let span = spans[item.x];
  let query = item.y + group.x % PARTS;
  let place = span.keys - span.queries + query;
  return Query(
    span,
    query < span.queries,
    ((span.row + query) * params.heads + group.y) * QUADS,
    place,
    (max(place + 1u, params.window) - params.window) / BLOCK * BLOCK,
  );
}

// Adds up the keys of a slice that the query sees, whose row is in q_row.
fn sum_slice(
  query: Query,
  slice: u32,
  head: u32,
  thread: u32,
  sum: ptr<function, array<vec4f, MINE>>,
) -> Seen {
  var state = nothing();
  let end = min(query.place + 1u, (slice + 1u) * SLICE);
  for (var here = max(query.start, slice * SLICE); here < end; here += KEYS) {
    workgroupBarrier();
    score_keys(query, here, end, head, thread);
    workgroupBarrier();
    let first = thread / OCTETS;
    for (var i = select(first, BLOCKS, first >= AT_ONCE); i < BLOCKS; i += AT_ONCE) {
      make_block(query.span, i, here + i * BLOCK, head, thread % OCTETS);
    }
    workgroupBarrier();
    for (var i = 0u; i < BLOCKS; i++) {
      if (maxima[i] == LOWEST) { continue; }
      let merge = merged(&state, maxima[i], weights[i]);
      for (var c = 0u; c < MINE; c++) {
        let quad = min(thread + THREADS * c, QUADS - 1u);
        (*sum)[c] = fma((*sum)[c], vec4f(merge.fade), sums[i * HELD_QUADS + quad] * merge.part);
      }
    }
  }
  return state;
}

fn hold_query(query: Query, thread: u32) {
  for (var i = thread; i < QUADS; i += THREADS) { q_row[i] = q[query.row + i] * params.scale; }
}
