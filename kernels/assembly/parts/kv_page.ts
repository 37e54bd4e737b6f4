import { widened } from "./floats";

/** Tokens of a page. */
export const PAGE_TOKENS: u32 = 64;

/** What a slot has more where a sink goes, whose values take the codes of four tokens. */
export const SINK_SLOT: u32 = 0x80000000;
const SINK_PLACES: u32 = 4;

/** Places of a sequence before its first token, of which some stay in half precision. */
export function leadOf(sinks: u32): u32 {
  return (SINK_PLACES - 1) * sinks;
}

/** Zero domains. */
export const NONE: u32 = 0;
export const PRE_SCALE: u32 = 1;
export const POST_SCALE: u32 = 2;

/** How pages hold keys or values, as `pageArgs()` says it. */
@unmanaged
export class Page {
  bits: u32;
  zero: u32;
  /** Channels that share a scale. */
  group: u32;
  /** Whether `scale` is the scale of all. */
  fixed: u32;
  /** Words of a page. */
  words: u32;
  scale: f32;
  clip: f32;
  /** Whether groups take the share of their range that errs least. */
  fit: u32;
}

/** Channels that a head takes in a page: zeros fill its last codes up to eight. */
export function heldChannels(size: u32): u32 {
  return (size + 7) & ~7;
}

/** Where the codes of a head's token begin in a page. */
export function codesAt(page: Page, start: usize, head: u32, token: u32, size: u32): usize {
  return start + <usize> (head * PAGE_TOKENS + token) * heldChannels(size) * page.bits / 8;
}

/** Where the scales of a head's first group begin in a page, two bytes for each token of it. */
export function scalesAt(page: Page, start: usize, kvHeads: u32, head: u32, size: u32): usize {
  const codes = <usize> kvHeads * PAGE_TOKENS * heldChannels(size) * page.bits / 8;
  return start + codes + <usize> head * (size / page.group) * PAGE_TOKENS * 2;
}

/** Bytes from a scale to its zero point. */
export function toZeros(page: Page, kvHeads: u32, size: u32): usize {
  return <usize> kvHeads * (size / page.group) * PAGE_TOKENS * 2;
}

/**
 * Writes the values of a head's first tokens of a page, up to a multiple of 8 channels: 16 of a token
 * lie together, `across` bytes before its next 16 and `down` bytes before those of the next token.
 * `scratch` takes scales.
 */
export function decodePage(
  page: Page,
  start: usize,
  kvHeads: u32,
  head: u32,
  tokens: u32,
  size: u32,
  to: usize,
  across: usize,
  down: usize,
  scratch: usize,
): void {
  if (page.bits < 16) spreadScales(page, start, kvHeads, head, size, scratch);
  for (let token: u32 = 0; token < tokens; token++) {
    const codes = codesAt(page, start, head, token, size);
    const scales = scratch + <usize> token * 8;
    if (page.bits == 4) decodeFour(page, codes, scales, size, to, across);
    else if (page.bits == 8) decodeEight(page, codes, scales, size, to, across);
    else decodeHalves(codes, size, to, across);
    to += down;
  }
}

/** Writes the values of a head's sinks over those of their places, and of the first to the places before. */
export function decodeSinks(
  page: Page,
  start: usize,
  head: u32,
  sinks: u32,
  tokens: u32,
  size: u32,
  to: usize,
  across: usize,
  down: usize,
): void {
  const lead = leadOf(sinks);
  const coded = min(lead + sinks, tokens);
  for (let token: u32 = 0; token < coded; token++) {
    const first = token > lead ? SINK_PLACES * (token - lead) : 0;
    decodeHalves(codesAt(page, start, head, first, size), size, to, across);
    to += down;
  }
}

/**
 * Scale and offset of each group and token, as floats: a value is its code, taken as unsigned, times
 * the one plus the other. Its products are exact, so that fused sums have no other bits.
 */
function spreadScales(
  page: Page,
  start: usize,
  kvHeads: u32,
  head: u32,
  size: u32,
  to: usize,
): void {
  const zeros = toZeros(page, kvHeads, size);
  const middle = f32x4.splat(<f32> -(1 << (page.bits - 1)));
  const count = size / page.group * PAGE_TOKENS;
  let scales = scalesAt(page, start, kvHeads, head, size);
  for (let i: u32 = 0; i < count; i += 4) {
    const scale = page.fixed ? f32x4.splat(page.scale) : widened(v128.load_ext<i16>(scales));
    let offset = f32x4.mul(middle, scale);
    if (page.zero != NONE) {
      offset = f32x4.neg(widened(v128.load_ext<i16>(scales + zeros)));
      if (page.zero == PRE_SCALE) offset = f32x4.mul(offset, scale);
    }
    v128.store(to, v128.shuffle<i32>(scale, offset, 0, 4, 1, 5));
    v128.store(to, v128.shuffle<i32>(scale, offset, 2, 6, 3, 7), 16);
    scales += 8;
    to += 32;
  }
}

function decodeFour(
  page: Page,
  codes: usize,
  scales: usize,
  size: u32,
  to: usize,
  across: usize,
): void {
  const flip = i32x4.splat(page.zero == NONE ? 0x88888888 : 0);
  const places = i32x4(0xf, 0xf0, 0xf00, 0xf000);
  // Codes stay in their places of a word, which the scale makes up for.
  const parts = f32x4(1, 1 / 16, 1 / 256, 1 / 4096);
  for (let channel: u32 = 0; channel < size; scales += PAGE_TOKENS * 8) {
    const scale = f32x4.mul(v128.load32_splat(scales), parts);
    const offset = v128.load32_splat(scales, 4);
    const end = channel + page.group;
    for (; channel < end; channel += 8) {
      const word = v128.xor(v128.load32_splat(codes), flip);
      const low = v128.and(word, places);
      const high = v128.and(i32x4.shr_u(word, 16), places);
      const at = to + (channel >> 4) * across + (channel & 8) * 4;
      v128.store(at, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(low), scale), offset));
      v128.store(at, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(high), scale), offset), 16);
      codes += 4;
    }
  }
}

function decodeEight(
  page: Page,
  codes: usize,
  scales: usize,
  size: u32,
  to: usize,
  across: usize,
): void {
  const flip = i16x8.splat(page.zero == NONE ? 0x80 : 0);
  for (let channel: u32 = 0; channel < size; scales += PAGE_TOKENS * 8) {
    const scale = v128.load32_splat(scales);
    const offset = v128.load32_splat(scales, 4);
    const end = channel + page.group;
    for (; channel < end; channel += 8) {
      const eight = v128.xor(v128.load_ext<u8>(codes), flip);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(eight));
      const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(eight));
      const at = to + (channel >> 4) * across + (channel & 8) * 4;
      v128.store(at, f32x4.add(f32x4.mul(low, scale), offset));
      v128.store(at, f32x4.add(f32x4.mul(high, scale), offset), 16);
      codes += 8;
    }
  }
}

function decodeHalves(codes: usize, size: u32, to: usize, across: usize): void {
  for (let channel: u32 = 0; channel < size; channel += 8) {
    const at = to + (channel >> 4) * across + (channel & 8) * 4;
    v128.store(at, widened(v128.load_ext<i16>(codes)));
    v128.store(at, widened(v128.load_ext<i16>(codes + 8)), 16);
    codes += 16;
  }
}
