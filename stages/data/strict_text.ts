import { iconv } from "./foreign_content.ts";
import type { Chunks } from "./unpack.ts";

const [NEWLINE, MARK] = [0x0a, 0xfeff];

/**
 * The text of a file's bytes in UTF-8, without the mark it may begin with, in pieces that follow
 * each other.
 *
 * Throws a `SyntaxError` with line and byte where they are no UTF-8, and where there is a NUL.
 */
export async function* strictText(chunks: Chunks, path: string): AsyncGenerator<string> {
  let left = new Uint8Array(0);
  let [done, lines] = [0, 1];
  for await (const chunk of chunks) {
    const bytes = joined(left, chunk);
    const end = wholeCharacters(bytes);
    const whole = bytes.subarray(0, end);
    const nul = whole.indexOf(0);
    const text = nul < 0 ? decoded(whole) : undefined;
    if (text === undefined) throw problem(whole, nul, { path, done, lines });
    const from = done === 0 && text.charCodeAt(0) === MARK ? 1 : 0;
    yield from === 0 ? text : text.slice(from);
    for (let at = whole.indexOf(NEWLINE); at >= 0; at = whole.indexOf(NEWLINE, at + 1)) lines++;
    done += end;
    left = bytes.slice(end);
  }
  if (left.length === 0) return;
  throw new SyntaxError(
    `Cannot read "${path}": it ends within a character of UTF-8, in line ${lines} after byte ` +
      `${done}, expected whole ones; fetch it again if it is cut off, or if it is in another ` +
      `encoding, ${iconv("ISO-8859-1")}`,
  );
}

function joined(left: Uint8Array, chunk: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (left.length === 0) return chunk;
  const bytes = new Uint8Array(left.length + chunk.length);
  bytes.set(left);
  bytes.set(chunk, left.length);
  return bytes;
}

/** Bytes up to the end of the last character that is whole, as far as its first byte tells. */
function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return size > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function decoded(bytes: Uint8Array<ArrayBuffer>): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function problem(
  bytes: Uint8Array<ArrayBuffer>,
  nul: number,
  { path, done, lines }: {
    readonly path: string;
    readonly done: number;
    readonly lines: number;
  },
): SyntaxError {
  const at = nul >= 0 ? nul : firstBad(bytes);
  const line = lines + bytes.subarray(0, at).reduce((n, byte) => byte === NEWLINE ? n + 1 : n, 0);
  const place = `in line ${line} at byte ${done + at}`;
  if (nul < 0) {
    const hex = bytes[at]!.toString(16).padStart(2, "0");
    return new SyntaxError(
      `Cannot read "${path}": 0x${hex} ${place} is no UTF-8, expected text in UTF-8; if it is in ` +
        `another encoding, such as Latin-1, ${iconv("ISO-8859-1")}`,
    );
  }
  const wide = wideEncoding(bytes);
  return new SyntaxError(
    `Cannot read "${path}": there is a NUL ${place}, ` +
      (wide ? `as in ${wide}, expected text in UTF-8; ${iconv(wide)}` : "expected text"),
  );
}

/** The first byte of the first character that is none. */
function firstBad(bytes: Uint8Array<ArrayBuffer>): number {
  let [good, bad] = [0, bytes.length];
  while (good + 1 < bad) {
    const middle = (good + bad) >> 1;
    if (beginsWell(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  return wholeCharacters(bytes.subarray(0, bad - 1));
}

function beginsWell(bytes: Uint8Array<ArrayBuffer>): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** The encoding whose every other byte is NUL in Latin text, where the first ones look like it. */
function wideEncoding(bytes: Uint8Array): string | undefined {
  const counts = [0, 0];
  const length = Math.min(1024, bytes.length);
  for (let i = 0; i < length; i++) if (bytes[i] === 0) counts[i % 2]!++;
  const [even = 0, odd = 0] = counts.map((count) => count / (length / 2));
  if (odd > 0.5 && even < 0.1) return "UTF-16LE";
  return even > 0.5 && odd < 0.1 ? "UTF-16BE" : undefined;
}
