// code[m, k] = clamp(round(y[m, k] / scale[m]), low, high), with scale[m] = f16(clip max |y[m, :]| / high)
// or one for all rows, and sum[m] = scale[m] * sum over k of code[m, k]. A workgroup a row, a word of 4
// codes a thread.
// Expects: parts/half.wgsl, parts/quotient.wgsl, value_of(row, i) (4 values of y), params.columns, scale, low, high and clip,
// bindings codes and rows, STATIC (bool, params.scale is the scale), THREADS (u32, a power of two),
// most_of() and count_of() as parts/row_shared.wgsl has them.

fn quantize_row(row: u32, thread: u32) {
  let quads = params.columns / 4u;
  let first = row * quads;
  var scale = params.scale;
  if (!STATIC) {
    var most = vec4f();
    for (var i = thread; i < quads; i += THREADS) { most = max(most, abs(value_of(row, i))); }
    let pair = max(most.xy, most.zw);
    let largest = most_of(thread, max(pair.x, pair.y));
    scale = half(quotient(params.clip * largest, params.high));
    if (scale == 0f) { scale = 1f; }
  }
  var sum = vec4i();
  for (var i = thread; i < quads; i += THREADS) {
    let code = vec4i(clamp(round(quotients(value_of(row, i), scale)), vec4f(params.low), vec4f(params.high)));
    codes[first + i] = pack4xI8(code);
    sum += code;
  }
  let all = count_of(thread, sum.x + sum.y + sum.z + sum.w);
  if (thread == 0u) { rows[row] = vec2f(scale, f32(all) * scale); }
}
