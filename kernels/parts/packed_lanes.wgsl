// What the products with packed weights share that run on one subgroup of 8 lanes: the weights of a
// lane's 8 columns.
// Expects: parts/lanes.wgsl, parts/matmul_codes.wgsl or parts/matmul_int8.wgsl.

struct Groups {
  g0: Group,
  g1: Group,
  g2: Group,
  g3: Group,
  g4: Group,
  g5: Group,
  g6: Group,
  g7: Group,
}

fn weight_row(column: u32) -> u32 {
  return params.row + min(column, params.columns - 1u);
}

fn groups_of(column: u32, k: u32) -> Groups {
  return Groups(
    group_of(weight_row(column), k),
    group_of(weight_row(column + LANES), k),
    group_of(weight_row(column + 2u * LANES), k),
    group_of(weight_row(column + 3u * LANES), k),
    group_of(weight_row(column + 4u * LANES), k),
    group_of(weight_row(column + 5u * LANES), k),
    group_of(weight_row(column + 6u * LANES), k),
    group_of(weight_row(column + 7u * LANES), k),
  );
}

fn weights(column: u32, at: u32, groups: Groups) -> Weights {
  let w0 = floats(weights_of(weight_row(column), at, groups.g0));
  let w1 = floats(weights_of(weight_row(column + LANES), at, groups.g1));
  let w2 = floats(weights_of(weight_row(column + 2u * LANES), at, groups.g2));
  let w3 = floats(weights_of(weight_row(column + 3u * LANES), at, groups.g3));
  let w4 = floats(weights_of(weight_row(column + 4u * LANES), at, groups.g4));
  let w5 = floats(weights_of(weight_row(column + 5u * LANES), at, groups.g5));
  let w6 = floats(weights_of(weight_row(column + 6u * LANES), at, groups.g6));
  let w7 = floats(weights_of(weight_row(column + 7u * LANES), at, groups.g7));
  return Weights(
    array(mat4x4f(w0[0], w1[0], w2[0], w3[0]), mat4x4f(w4[0], w5[0], w6[0], w7[0])),
    array(mat4x4f(w0[1], w1[1], w2[1], w3[1]), mat4x4f(w4[1], w5[1], w6[1], w7[1])),
  );
}
