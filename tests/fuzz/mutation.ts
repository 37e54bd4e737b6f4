/** A whole number below `below`. */
export type Random = (below: number) => number;

/** Numbers that depend on a seed and a place alone (mulberry32). */
export function randomAt(seed: number, place: number): Random {
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(place + 1, 0xc2b2ae35)) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

/** Integers at which programs go wrong. */
const EDGES = [
  ...[0, 1, 2, 3, 7, 8, 16, 31, 32, 127, 128, 255, 256, 4095, 65535, 65536].map(BigInt),
  ...[31n, 32n, 40n, 52n, 53n, 62n, 63n].flatMap((bits) => [2n ** bits - 1n, 2n ** bits]),
  2n ** 64n - 1n,
];
const ODD: readonly unknown[] = [
  ...[null, true, false, 0, -1, 0.5, 1e308, -1e-308, 2 ** 31, 2 ** 53, "", "a", "0", "\u0000"],
  ...["__proto__", "constructor", "toString", "length", "\ud800", "é".repeat(40)],
  ...[[], {}, [null], [[]], { "": 0 }, { type: "x" }, [0, -1], "a".repeat(5000)],
  ...[JSON.parse('{"__proto__":{"a":1}}'), new Array(300).fill(0), "../../etc/passwd"],
];

/** An input that is like one or two of the seeds, with words of the format put in here and there. */
export function mutant(
  seeds: readonly Uint8Array[],
  words: readonly string[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  const seed = seeds[random(seeds.length)]!;
  let bytes: Uint8Array = seed;
  const tree = random(2) === 0 ? jsonOf(bytes) : undefined;
  if (tree !== undefined) {
    let value: unknown = tree;
    for (let left = 1 + random(3); left > 0; left--) value = oddTree(value, words, random);
    bytes = new TextEncoder().encode(JSON.stringify(value) ?? "");
    if (random(8) > 0) return bytes.slice();
  }
  for (let left = 1 + random(4); left > 0; left--) {
    bytes = oddBytes(bytes, seeds[random(seeds.length)]!, words, random);
  }
  return bytes.slice(0, 1 << 20);
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** A JSON value of which one place is another. */
function oddTree(value: unknown, words: readonly string[], random: Random): unknown {
  const children = typeof value === "object" && value !== null ? Object.keys(value) : [];
  if (children.length === 0 || random(6) === 0) {
    const what = random(4);
    if (what === 0 && words.length > 0) return words[random(words.length)];
    if (what === 1 && typeof value === "number") return Number(EDGES[random(EDGES.length)]);
    if (what === 2) return [value, value];
    return ODD[random(ODD.length)];
  }
  const name = children[random(children.length)]!;
  const other = Array.isArray(value) ? [...value] : { ...value as object };
  const place = other as Record<string, unknown>;
  const what = random(12);
  if (what === 0) {
    if (Array.isArray(other)) other.splice(Number(name), 1);
    else delete place[name];
  } else if (what === 1 && words.length > 0 && !Array.isArray(other)) {
    place[words[random(words.length)]!] = place[name];
  } else place[name] = oddTree(place[name], words, random);
  return other;
}

/** Bytes of which one stretch is another. */
function oddBytes(
  bytes: Uint8Array,
  other: Uint8Array,
  words: readonly string[],
  random: Random,
): Uint8Array {
  const at = random(bytes.length + 1);
  const length = Math.min(
    bytes.length - at,
    random(3) === 0 ? random(bytes.length + 1) : random(9),
  );
  const put = (insert: Uint8Array, cut = 0) => joined(bytes, at, cut, insert);
  switch (random(9)) {
    case 0: {
      const copy = bytes.slice();
      if (at < copy.length) copy[at]! ^= 1 << random(8);
      return copy;
    }
    case 1:
      return put(new Uint8Array([random(256)]), Math.min(1, bytes.length - at));
    case 2:
      return put(new Uint8Array(0), length);
    case 3:
      return bytes.subarray(0, at);
    case 4: {
      const edge = new Uint8Array(8);
      new DataView(edge.buffer).setBigUint64(0, EDGES[random(EDGES.length)]!, true);
      const size = [1, 2, 4, 8][random(4)]!;
      return put(edge.subarray(0, size), Math.min(size, bytes.length - at));
    }
    case 5: {
      const from = random(other.length + 1);
      return put(other.subarray(from, from + random(65)), random(2) * length);
    }
    case 6: {
      const some = bytes.subarray(at, at + length);
      let many = some;
      for (let left = random(4); left > 0 && many.length < 1 << 16; left--) {
        many = joined(many, many.length, 0, many);
      }
      return put(many);
    }
    case 7:
      return put(new TextEncoder().encode(String(EDGES[random(EDGES.length)])), length);
    default: {
      const word = words.length > 0 ? words[random(words.length)]! : "\u0000";
      return put(new TextEncoder().encode(word), random(2) * length);
    }
  }
}

function joined(bytes: Uint8Array, at: number, cut: number, put: Uint8Array): Uint8Array {
  const all = new Uint8Array(bytes.length - cut + put.length);
  all.set(bytes.subarray(0, at));
  all.set(put, at);
  all.set(bytes.subarray(at + cut), at + put.length);
  return all;
}
