/** How keys or values are held in a paged cache (algorithms.md 3.3, "KV cache" of systems.md). */
export interface KvScheme {
  /** 16 holds plain f16 values without scales, whatever `zero` says. */
  readonly bits: 16 | 8 | 4;
  /** Where the zero point acts: x = q * s, x = (q - z) * s, or x = q * s - z. */
  readonly zero: "none" | "pre_scale" | "post_scale";
  /** Channels that share a scale; divides the head size, a multiple of 8. */
  readonly group: number;
  /** Largest magnitude of the whole tensor, fixed beforehand; pages then hold no scales. */
  readonly range?: number;
}

/** Scale and zero point of a group, both f16-valued. */
export interface KvScale {
  readonly scale: number;
  readonly zero: number;
}

const LARGEST_HALF = 65504;

/** Whether pages hold a scale for each token, head and group. */
export function hasScales({ bits, range }: KvScheme): boolean {
  return bits < 16 && range === undefined;
}

/** Whether pages hold a zero point for each token, head and group. */
export function hasZeros({ bits, zero }: KvScheme): boolean {
  return bits < 16 && zero !== "none";
}

/** The zero domains as the constants of shaders say them. */
export const ZERO_DOMAINS = { none: 0, pre_scale: 1, post_scale: 2 } as const;

/** The zero domain a shader works in: 16-bit pages hold no zero points. */
export function zeroDomain(scheme: KvScheme): number {
  return hasZeros(scheme) ? ZERO_DOMAINS[scheme.zero] : ZERO_DOMAINS.none;
}

/** Smallest and largest code. */
export function codeRange({ bits, zero }: KvScheme): readonly [low: number, high: number] {
  const high = zero === "none" ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  return [zero === "none" ? -high : 0, high];
}

/** The scale that a fixed range gives, 1 where there is none. */
export function fixedScale(scheme: KvScheme): number {
  if (scheme.bits === 16 || scheme.range === undefined) return 1;
  return half(Math.fround(Math.fround(scheme.range) / codeRange(scheme)[1])) || 1;
}

/** Scale and zero point of the values of a group. */
export function scaleOf(values: Float32Array, scheme: KvScheme): KvScale {
  if (!hasScales(scheme)) return { scale: fixedScale(scheme), zero: 0 };
  const [low, high] = codeRange(scheme);
  let least = values.reduce((a, b) => Math.min(a, b), Infinity);
  let most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (scheme.zero === "none") {
    return { scale: half(Math.fround(Math.max(-least, most) / high)) || 1, zero: 0 };
  }
  if (scheme.zero === "pre_scale") [least, most] = [Math.min(least, 0), Math.max(most, 0)];
  const scale = half(Math.fround(Math.fround(most - least) / (high - low))) || 1;
  const zero = scheme.zero === "pre_scale"
    ? Math.min(even(Math.fround(-least / scale)), high)
    : half(-least);
  // No negative zero: it has other bits.
  return { scale, zero: zero + 0 };
}

/** The code of a value; f32 arithmetic, ties to even. */
export function encode(value: number, { scale, zero }: KvScale, scheme: KvScheme): number {
  const [low, high] = codeRange(scheme);
  const scaled = scheme.zero === "post_scale"
    ? Math.fround(Math.fround(value + zero) / scale)
    : Math.fround(Math.fround(value / scale) + zero);
  return Math.min(Math.max(even(scaled), low), high);
}

/** The value of a code. */
export function decode(code: number, { scale, zero }: KvScale, scheme: KvScheme): number {
  return Math.fround(scheme.zero === "post_scale" ? code * scale - zero : (code - zero) * scale);
}

/** Rounds to f16, to nearest with ties to even; beyond its range to the largest f16. */
export function half(value: number): number {
  return Math.f16round(Math.min(Math.max(value, -LARGEST_HALF), LARGEST_HALF));
}

function even(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}
