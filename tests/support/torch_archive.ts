/** A file of a zip archive to build; what is not said is as it should be. */
export interface ArchivedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What the directory says where it lies. */
  readonly header?: number;
  /** What the directory says of its sizes. */
  readonly size?: number;
  readonly packed?: number;
  readonly method?: number;
  readonly flags?: number;
  /** Write its sizes and place in the long form. */
  readonly wide?: boolean;
}

/** The end of an archive, where it should not be right. */
export interface ArchiveEnd {
  readonly count?: number;
  readonly size?: number;
  readonly start?: number;
  /** Write the long form of the end before it. */
  readonly wide?: boolean;
}

/** A zip archive of stored files, as APPNOTE lays it out. */
export function archive(files: readonly ArchivedFile[], end: ArchiveEnd = {}): Uint8Array {
  const out: number[] = [];
  const places = files.map(({ name, bytes }) => {
    const at = out.length;
    const text = new TextEncoder().encode(name);
    out.push(...u32(0x04034b50), ...u16(20), ...u16(0), ...u16(0), ...new Array(8).fill(0));
    out.push(...u32(bytes.length), ...u32(bytes.length), ...u16(text.length), ...u16(0), ...text);
    for (const byte of bytes) out.push(byte);
    return at;
  });
  const start = out.length;
  files.forEach((file, index) => {
    const { name, bytes, method = 0, flags = 0, wide } = file;
    const { size = bytes.length, packed = size, header = places[index]! } = file;
    const text = new TextEncoder().encode(name);
    const long = wide ? [...u64(size), ...u64(packed), ...u64(header)] : [];
    const extra = wide ? [...u16(1), ...u16(long.length), ...long] : [];
    const short = (value: number) => u32(wide ? 0xffffffff : value);
    out.push(...u32(0x02014b50), ...u16(20), ...u16(20), ...u16(flags), ...u16(method));
    out.push(...new Array(8).fill(0), ...short(packed), ...short(size), ...u16(text.length));
    out.push(...u16(extra.length), ...new Array(10).fill(0), ...short(header), ...text, ...extra);
  });
  const size = out.length - start;
  const told = {
    count: end.count ?? files.length,
    size: end.size ?? size,
    start: end.start ?? start,
  };
  if (end.wide) {
    const at = out.length;
    out.push(...u32(0x06064b50), ...u64(44), ...u16(45), ...u16(45), ...u32(0), ...u32(0));
    out.push(...u64(told.count), ...u64(told.count), ...u64(told.size), ...u64(told.start));
    out.push(...u32(0x07064b50), ...u32(0), ...u64(at), ...u32(1));
  }
  const [count, bytes, from] = end.wide
    ? [0xffff, 0xffffffff, 0xffffffff]
    : [told.count, told.size, told.start];
  out.push(...u32(0x06054b50), ...u16(0), ...u16(0), ...u16(count), ...u16(count));
  out.push(...u32(bytes), ...u32(from), ...u16(0));
  return Uint8Array.from(out);
}

/** Opcodes of a pickle from texts, whose characters are bytes, and bytes. */
export function opcodes(...parts: readonly (string | readonly number[])[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "string" ? [...part].map((char) => char.charCodeAt(0)) : [...part]
    ),
  );
}

/** A number in two bytes, the lowest first. */
function u16(value: number): number[] {
  return bytesOf(BigInt(value), 2);
}

/** A number in four bytes, the lowest first. */
export function u32(value: number): number[] {
  return bytesOf(BigInt(value), 4);
}

/** A number in eight bytes, the lowest first. */
export function u64(value: number | bigint): number[] {
  return bytesOf(BigInt(value), 8);
}

function bytesOf(value: bigint, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}
