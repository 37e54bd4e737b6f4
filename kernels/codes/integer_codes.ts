import type { HostTensor } from "../device/device.ts";

/** Unsigned 4-bit codes of packed words, the lowest bits first. */
export function nibbles({ data }: HostTensor): Uint8Array {
  const codes = new Uint8Array(data.length * 8);
  for (let i = 0; i < codes.length; i++) codes[i] = (data[i >> 3]! >>> (4 * (i & 7))) & 15;
  return codes;
}

/** Signed 4-bit codes (two's complement) of packed words, the lowest bits first. */
export function signedNibbles(words: HostTensor): Int8Array {
  return new Int8Array(nibbles(words)).map((code) => code > 7 ? code - 16 : code);
}

/** Unsigned 8-bit codes of packed words, the lowest bits first. */
export function bytes({ data }: HostTensor): Uint8Array {
  return new Uint8Array(new Uint32Array(data).buffer);
}

/** Signed 8-bit codes (two's complement) of packed words, the lowest bits first. */
export function signedBytes({ data }: HostTensor): Int8Array {
  return new Int8Array(new Uint32Array(data).buffer);
}
