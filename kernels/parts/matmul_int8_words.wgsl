// Weights and values of x, words of which are read one by one: any inner size.
// Expects: parts/matmul_int8.wgsl and what it expects, Words of u32.

fn group_of(row: u32, k: u32) -> Group {
  if (!GROUPED) { return vec2u(); }
  let index = k / params.group;
  let width = (params.inner / params.group + 1u) / 2u;
  return unpacked_group(groups[row * width + index / 2u] >> (16u * (index % 2u)));
}

// Eight weights of a row as signed bytes, from inner index 8 * at.
fn weights_of(row: u32, at: u32, group: Group) -> Eight {
  if (!NIBBLES) {
    let index = row * (params.inner / 4u) + 2u * at;
    return vec2u(weight[index], weight[index + 1u]);
  }
  return bytes_of(weight[row * (params.inner / 8u) + at], group);
}

// Adds eight weights times the values of x from word 2 * at of a row.
fn add_products(sum: Sum, row: u32, at: u32, weights: Eight) -> Sum {
  let from_x = row * (params.inner / 4u) + 2u * at;
  return sum + dot4I8Packed(x[from_x], weights.x) + dot4I8Packed(x[from_x + 1u], weights.y);
}
