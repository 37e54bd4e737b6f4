// What attention over pages reads and writes.
// Expects: codes/kv_read.wgsl.

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4u>;
@group(0) @binding(2) var<storage, read> v: array<u32>;
@group(0) @binding(3) var<storage, read> block_table: array<u32>;
@group(0) @binding(4) var<storage, read> spans: array<Span>;
@group(0) @binding(5) var<storage, read> work: array<vec2u>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(7) var<uniform> params: Params;

// 8 channels of the key at a place of a sequence, from a channel on, which have been turned before.
fn turned_key(page: u32, head: u32, place: u32, channel: u32) -> array<vec4f, 2> {
  return key_at(page, head, place, channel);
}
