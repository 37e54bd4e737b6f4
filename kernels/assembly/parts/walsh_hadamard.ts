/** The fast Walsh-Hadamard transform of a power of two of values, four or more, times `scale`; y may be x. */
export function transform(x: usize, bytes: usize, scale: f32, y: usize): void {
  const factor = f32x4.splat(scale);
  let half: usize = 16;
  if (bytes >= 64) {
    for (let at: usize = 0; at < bytes; at += 64) {
      const a = f32x4.mul(v128.load(x + at), factor);
      const b = f32x4.mul(v128.load(x + at, 16), factor);
      const c = f32x4.mul(v128.load(x + at, 32), factor);
      const d = f32x4.mul(v128.load(x + at, 48), factor);
      const ab = f32x4.add(a, b);
      const cd = f32x4.add(c, d);
      const ba = f32x4.sub(a, b);
      const dc = f32x4.sub(c, d);
      v128.store(y + at, within(f32x4.add(ab, cd)));
      v128.store(y + at, within(f32x4.add(ba, dc)), 16);
      v128.store(y + at, within(f32x4.sub(ab, cd)), 32);
      v128.store(y + at, within(f32x4.sub(ba, dc)), 48);
    }
    half = 64;
  } else {
    for (let at: usize = 0; at < bytes; at += 16) {
      v128.store(y + at, within(f32x4.mul(v128.load(x + at), factor)));
    }
  }
  for (; half * 4 <= bytes; half *= 4) twoSteps(y, bytes, half);
  if (half < bytes) oneStep(y, bytes, half);
}

/** The transform of the four values of a vector. */
function within(v: v128): v128 {
  const pairs = f32x4.add(
    i32x4.shuffle(v, v, 1, 0, 3, 2),
    v128.xor(v, i32x4(0, 0x80000000, 0, 0x80000000)),
  );
  return f32x4.add(
    i32x4.shuffle(pairs, pairs, 2, 3, 0, 1),
    v128.xor(pairs, i32x4(0, 0, 0x80000000, 0x80000000)),
  );
}

/** Two steps, of values that stand `half` and twice as many bytes apart. */
function twoSteps(y: usize, bytes: usize, half: usize): void {
  for (let first: usize = 0; first < bytes; first += 4 * half) {
    const y0 = y + first;
    const y1 = y0 + half;
    const y2 = y1 + half;
    const y3 = y2 + half;
    for (let at: usize = 0; at < half; at += 16) {
      const a = v128.load(y0 + at);
      const b = v128.load(y1 + at);
      const c = v128.load(y2 + at);
      const d = v128.load(y3 + at);
      const ab = f32x4.add(a, b);
      const cd = f32x4.add(c, d);
      const ba = f32x4.sub(a, b);
      const dc = f32x4.sub(c, d);
      v128.store(y0 + at, f32x4.add(ab, cd));
      v128.store(y1 + at, f32x4.add(ba, dc));
      v128.store(y2 + at, f32x4.sub(ab, cd));
      v128.store(y3 + at, f32x4.sub(ba, dc));
    }
  }
}

/** The last step, of values that stand `half` bytes apart. */
function oneStep(y: usize, bytes: usize, half: usize): void {
  for (let at: usize = 0; at < half; at += 16) {
    const a = v128.load(y + at);
    const b = v128.load(y + half + at);
    v128.store(y + at, f32x4.add(a, b));
    v128.store(y + half + at, f32x4.sub(a, b));
  }
}
