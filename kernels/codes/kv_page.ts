import type { Param } from "../device/kernel.ts";
import {
  fixedScale,
  groupScale,
  hasScales,
  hasZeros,
  kernelZero,
  kvCodes,
  type KvScheme,
} from "./kv_scheme.ts";
import { codeOf, half, valueOf } from "./quantizer.ts";

/** Tokens of a page. */
export const PAGE_TOKENS = 64;
/** Places that a sink takes: as many as hold its f16 values in codes of 4 bits. */
const SINK_PLACES = 4;
/** The most first tokens of a sequence that stay in half precision, which lie in its first page. */
export const MOST_SINKS = PAGE_TOKENS / SINK_PLACES;
/** What a slot has more where a sink goes. */
const SINK_SLOT = 2 ** 31;

/**
 * Places of a sequence before that of its first token: of a sequence whose first `sinks` tokens stay in half
 * precision, token i stands at place `leadOf(sinks) + i`, where from place 4 * `sinks` on its codes lie.
 */
export function leadOf(sinks = 0): number {
  return (SINK_PLACES - 1) * sinks;
}

/**
 * Where a token of a sequence goes in its pages: page * 64 + place in it; for a sink 2^31 more, and the first of
 * the four places that its values take.
 */
export function slotOf(pages: readonly number[], token: number, sinks = 0): number {
  if (token < sinks) return SINK_SLOT + pages[0]! * PAGE_TOKENS + SINK_PLACES * token;
  const place = token + leadOf(sinks);
  return pages[Math.floor(place / PAGE_TOKENS)]! * PAGE_TOKENS + place % PAGE_TOKENS;
}

/** Pages that a sequence of so many tokens takes. */
export function pagesFor(tokens: number, sinks = 0): number {
  return Math.ceil((tokens + leadOf(sinks)) / PAGE_TOKENS);
}

/** Tokens that so many first pages of a sequence hold. */
export function tokensIn(pages: number, sinks = 0): number {
  return Math.max(0, pages * PAGE_TOKENS - leadOf(sinks));
}

/** The page of a slot. */
export function pageOf(slot: number): number {
  return Math.floor(slot % SINK_SLOT / PAGE_TOKENS);
}

/** Throws where a sequence cannot have so many sinks. */
export function checkSinks(sinks = 0): void {
  if (Number.isInteger(sinks) && sinks >= 0 && sinks <= MOST_SINKS) return;
  throw new RangeError(
    `Cannot keep the first ${sinks} tokens of a sequence in half precision: expected 0 to ${MOST_SINKS}, which its first page holds`,
  );
}

/** What the pages of one tensor hold. */
export interface KvPage {
  readonly scheme: KvScheme;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Throws unless pages can hold such heads. */
export function checkPage({ scheme, headSize }: KvPage): void {
  const { bits, zero, group, range, clip, fit } = scheme;
  if (headSize % 4 !== 0 || !kvGroups(headSize).includes(group)) {
    throw new RangeError(
      `Cannot page heads of ${headSize} in groups of ${group}: expected a head size that is a multiple of 4 and groups of ${
        kvGroups(headSize).join(", ")
      }`,
    );
  }
  if (range !== undefined && (zero !== "none" || !(range >= 0))) {
    throw new RangeError(
      `Cannot hold keys or values to range ${range} with zero ${zero} at ${bits} bits: expected a range that is not negative and zero none`,
    );
  }
  if (fit && !hasScales(scheme)) {
    throw new RangeError(
      `Cannot fit ranges of keys or values at ${bits} bits${
        range === undefined ? "" : ` and range ${range}`
      }: expected fewer than 16 bits and no range`,
    );
  }
  if (clip !== undefined && !(clip > 0 && clip <= 1 && hasScales(scheme))) {
    throw new RangeError(
      `Cannot clip keys or values to ${clip} of their range at ${bits} bits${
        range === undefined ? "" : ` and range ${range}`
      }: expected a clip above 0 and up to 1, fewer than 16 bits and no range`,
    );
  }
}

/** Channels of a head that may share a scale in pages: all, or a multiple of 8 that divides them. */
export function kvGroups(headSize: number): number[] {
  const eights = Array.from({ length: Math.floor(headSize / 8) }, (_, i) => 8 * (i + 1));
  const groups = eights.filter((group) => headSize % group === 0);
  return groups.at(-1) === headSize ? groups : [...groups, headSize];
}

/** Channels that a head takes in a page: zeros fill its last codes up to eight. */
function heldChannels(headSize: number): number {
  return Math.ceil(headSize / 8) * 8;
}

/**
 * Words of a page: codes [kv head][token][channel, up to a multiple of 8], then scales, then zero points,
 * each f16 [kv head][group][token].
 */
export function pageWords(scheme: KvScheme, kvHeads: number, headSize: number): number {
  return places({ scheme, kvHeads, headSize }).words;
}

/** What assembly must know of pages under a name: the fields of its `Page`, in order. */
export function pageArgs(name: string, { scheme, kvHeads, headSize }: KvPage) {
  const { bits, group, clip = 1, fit } = scheme;
  const fields: Readonly<Record<string, Param>> = {
    bits: { u32: bits },
    zero: { u32: kernelZero(scheme) },
    group: { u32: group },
    fixed: { u32: Number(!hasScales(scheme)) },
    words: { u32: pageWords(scheme, kvHeads, headSize) },
    scale: { f32: fixedScale(scheme) },
    clip: { f32: clip },
    fit: { u32: Number(fit ?? false) },
  };
  return Object.fromEntries(
    Object.entries(fields).map(([field, param]) => [`${name}_${field}`, param]),
  );
}

/**
 * Writes a token's `values` f32 [kv heads, head size] to a slot of a pool; with `compensation` f32 [kv
 * heads, head size, head size] as `appendKv` has it.
 */
export function writeSlot(
  pool: Uint32Array,
  slot: number,
  values: Float32Array,
  { compensation, ...page }: KvPage & { readonly compensation?: Float32Array | undefined },
): void {
  const { scheme, kvHeads, headSize } = page;
  const { bits, group } = scheme;
  const codes = kvCodes(scheme);
  const at = places(page, slot);
  if (slot >= SINK_SLOT) {
    for (let i = 0; i < kvHeads * heldChannels(headSize); i++) {
      const [head, channel] = [Math.floor(i / heldChannels(headSize)), i % heldChannels(headSize)];
      const value = channel < headSize ? values[head * headSize + channel]! : 0;
      put(pool, 16, at.halves(head) + channel, halfBits(half(value)));
    }
    return;
  }
  for (let head = 0; head < kvHeads; head++) {
    for (let channel = headSize; channel < heldChannels(headSize); channel++) {
      put(pool, bits, at.codes(head) + channel, 0);
    }
    const exact = values.subarray(head * headSize, (head + 1) * headSize);
    const compensated = exact.slice();
    const shares = compensation?.subarray(head * headSize ** 2, (head + 1) * headSize ** 2);
    for (let first = 0; first < headSize; first += group) {
      const { scale, zero } = groupScale(exact.subarray(first, first + group), scheme);
      for (let channel = first; channel < first + group; channel++) {
        const value = compensated[channel]!;
        const code = bits === 16 ? halfBits(half(value)) : codeOf(value, scale, zero, codes);
        put(pool, bits, at.codes(head) + channel, code);
        if (!shares) continue;
        const missed = Math.fround(exact[channel]! - valueOf(code, scale, zero, scheme.zero));
        for (let behind = channel + 1; behind < headSize; behind++) {
          compensated[behind]! += Math.fround(missed * shares[channel * headSize + behind]!);
        }
      }
      const place = at.scale(head, first / group);
      if (hasScales(scheme)) put(pool, 16, 2 * at.scales + place, halfBits(scale));
      if (hasZeros(scheme)) put(pool, 16, 2 * at.zeros + place, halfBits(zero));
    }
  }
}

/** The values f32 [kv heads, head size] at a slot of a pool. */
export function readSlot(pool: ArrayLike<number>, slot: number, page: KvPage): Float32Array {
  const { scheme, kvHeads, headSize } = page;
  const { bits, group } = scheme;
  const at = places(page, slot);
  const values = new Float32Array(kvHeads * headSize);
  if (slot >= SINK_SLOT) {
    return values.map((_, i) =>
      fromHalfBits(get(pool, 16, at.halves(Math.floor(i / headSize)) + i % headSize))
    );
  }
  for (let head = 0; head < kvHeads; head++) {
    for (let first = 0; first < headSize; first += group) {
      const place = at.scale(head, first / group);
      const scale = hasScales(scheme)
        ? fromHalfBits(get(pool, 16, 2 * at.scales + place))
        : fixedScale(scheme);
      const zero = hasZeros(scheme) ? fromHalfBits(get(pool, 16, 2 * at.zeros + place)) : 0;
      for (let channel = first; channel < first + group; channel++) {
        const code = get(pool, bits, at.codes(head) + channel);
        const signed = scheme.zero === "none" && code >= 2 ** (bits - 1) ? code - 2 ** bits : code;
        values[head * headSize + channel] = bits === 16
          ? fromHalfBits(code)
          : valueOf(signed, scale, zero, scheme.zero);
      }
    }
  }
  return values;
}

/** Words where the parts of a slot's page begin, and units of the slot's own codes and scales. */
function places(page: KvPage, slot = 0) {
  const { scheme, kvHeads, headSize } = page;
  const held = heldChannels(headSize);
  const toScales = kvHeads * PAGE_TOKENS * held * scheme.bits / 32;
  const part = kvHeads * headSize / scheme.group * PAGE_TOKENS / 2;
  const toZeros = toScales + (hasScales(scheme) ? part : 0);
  const words = toZeros + (hasZeros(scheme) ? part : 0);
  const start = pageOf(slot) * words;
  const token = slot % PAGE_TOKENS;
  return {
    words,
    scales: start + toScales,
    zeros: start + toZeros,
    codes: (head: number) => start * 32 / scheme.bits + (head * PAGE_TOKENS + token) * held,
    halves: (head: number) => 2 * start + (head * PAGE_TOKENS + token) * held * scheme.bits / 16,
    scale: (head: number, group: number) =>
      (head * headSize / scheme.group + group) * PAGE_TOKENS + token,
  };
}

function put(words: Uint32Array, bits: number, at: number, code: number): void {
  const mask = 2 ** bits - 1;
  const word = Math.floor(at * bits / 32);
  const shift = at * bits % 32;
  words[word] = words[word]! & ~(mask << shift) | (code & mask) << shift;
}

function get(words: ArrayLike<number>, bits: number, at: number): number {
  return words[Math.floor(at * bits / 32)]! >>> at * bits % 32 & 2 ** bits - 1;
}

const HALF = new DataView(new ArrayBuffer(2));

function halfBits(value: number): number {
  HALF.setFloat16(0, value);
  return HALF.getUint16(0);
}

function fromHalfBits(bits: number): number {
  HALF.setUint16(0, bits);
  return HALF.getFloat16(0);
}
