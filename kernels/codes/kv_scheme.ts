import {
  codeRange,
  type Quantizer,
  type ScaleAndZero,
  scaleAndZero,
  scaleOf,
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
}

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
  if (scheme.zero === "none") {
    return scaleAndZero({ min, max: Math.max(-min, max) }, kvCodes(scheme));
  }
  return scaleAndZero({ min, max }, kvCodes(scheme));
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
    VALUE_BITS: value.bits,
    VALUE_ZERO: kernelZero(value),
    VALUE_GROUP: value.group,
    VALUE_FIXED: !hasScales(value),
  };
}
