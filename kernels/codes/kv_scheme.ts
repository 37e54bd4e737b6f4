import {
  codeOf,
  codeRange,
  type Quantizer,
  type ScaleAndZero,
  scaleAndZero,
  scaleOf,
  valueOf,
  ZERO_DOMAINS,
  type ZeroDomain,
} from "./quantizer.ts";

/** How keys or values are held in a paged cache (.github/ALGORITHMS.md#scales and #kv-pages). */
export interface KvScheme {
  /** 16 holds plain f16 values without scales, whatever `zero` says. */
  readonly bits: 16 | 8 | 4;
  readonly zero: ZeroDomain;
  /** Channels that share a scale; divides the head size, a multiple of 8. */
  readonly group: number;
  /** Largest magnitude of the whole tensor, fixed beforehand; pages then hold no scales. */
  readonly range?: number;
  /**
   * Factor above 0 and up to 1, its default, on the smallest and largest value of every group before
   * they give scale and zero point; what lies beyond gets the outermost codes.
   */
  readonly clip?: number;
  /**
   * Whether each group of a token takes of its range the share of `FIT_SHARES` that leaves its values the least
   * squared error; all of it unless said.
   */
  readonly fit?: true;
}

/** Shares of a group's range that are tried, the first of equals winning; in shaders and assembly too. */
const FIT_SHARES = [1, 0.96, 0.92, 0.88, 0.84] as const;

/** Whether pages hold a scale for each token, head and group. */
export function hasScales({ bits, range }: KvScheme): boolean {
  return bits < 16 && range === undefined;
}

/** Whether pages hold a zero point for each token, head and group. */
export function hasZeros({ bits, zero }: KvScheme): boolean {
  return bits < 16 && zero !== "none";
}

/** The zero domain a kernel works in: 16-bit pages hold no zero points. */
export function kernelZero(scheme: KvScheme): number {
  return hasZeros(scheme) ? ZERO_DOMAINS[scheme.zero] : ZERO_DOMAINS.none;
}

/** The codes of a scheme below 16 bits. */
export function kvCodes({ bits, zero }: KvScheme): Quantizer {
  const [low, high] = codeRange({ bits, zero });
  return { low, high, zero, scale: "f16" };
}

/** The scale that a fixed range gives, 1 where there is none. */
export function fixedScale(scheme: KvScheme): number {
  if (scheme.bits === 16 || scheme.range === undefined) return 1;
  return scaleOf(scheme.range, kvCodes(scheme).high, "f16");
}

/** Scale and zero point of the values of a group. */
export function groupScale(values: Float32Array, scheme: KvScheme): ScaleAndZero {
  if (!hasScales(scheme)) return { scale: fixedScale(scheme), zero: 0 };
  const clip = Math.fround(scheme.clip ?? 1);
  const min = Math.fround(clip * values.reduce((a, b) => Math.min(a, b), Infinity));
  const max = Math.fround(clip * values.reduce((a, b) => Math.max(a, b), -Infinity));
  const codes = kvCodes(scheme);
  const of = (min: number, max: number) =>
    scaleAndZero(
      scheme.zero === "none" ? { min, max: Math.max(-min, max) } : { min, max },
      codes,
    );
  if (!scheme.fit) return of(min, max);
  let [least, best] = [Infinity, of(min, max)];
  for (const share of FIT_SHARES.map(Math.fround)) {
    const tried = of(Math.fround(min * share), Math.fround(max * share));
    const error = squaredError(values, tried, codes);
    if (error < least) [least, best] = [error, tried];
  }
  return best;
}

/** Squared error of a group's codes: four sums in turns, then pairs of those, in single precision. */
function squaredError(
  values: Float32Array,
  { scale, zero }: ScaleAndZero,
  codes: Quantizer,
): number {
  const sums = new Float32Array(4);
  values.forEach((value, i) => {
    const code = codeOf(value, scale, zero, codes);
    const off = Math.fround(value - valueOf(code, scale, zero, codes.zero));
    sums[i % 4]! += Math.fround(off * off);
  });
  return Math.fround(Math.fround(sums[0]! + sums[1]!) + Math.fround(sums[2]! + sums[3]!));
}

/** What shaders must know at compile time of how keys and values are held. */
export function schemeConstants(
  { key, value }: { readonly key: KvScheme; readonly value: KvScheme },
) {
  return {
    KEY_BITS: key.bits,
    KEY_ZERO: kernelZero(key),
    KEY_GROUP: key.group,
    KEY_FIXED: !hasScales(key),
    KEY_FIT: key.fit ?? false,
    VALUE_BITS: value.bits,
    VALUE_ZERO: kernelZero(value),
    VALUE_GROUP: value.group,
    VALUE_FIXED: !hasScales(value),
    VALUE_FIT: value.fit ?? false,
  };
}
