const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** How large a store may be, from a size or the word `none`. */
export function parseCap(text: string): number {
  return text.trim() === "none" ? Infinity : parseBytes(text);
}

/** Bytes from a text such as `8GB`, `512MiB` or `1000000`; throws a RangeError for anything else. */
export function parseBytes(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const scale = UNITS[unit?.toLowerCase() ?? "none"];
  const bytes = Math.floor(Number(digits) * (scale ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new RangeError(`Cannot read "${text}" as a size: expected one such as 8GB or 512MiB`);
}
