/** GPT-2's characters for bytes: printable ones stand for themselves, others follow U+0100. */
const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCharCode(printable ? byte : next++);
  });
})();

const BYTES = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));
const UTF8 = new TextEncoder();

/** A text with a character for each of its bytes. */
export function toByteCharacters(text: string): string {
  let characters = "";
  for (const byte of UTF8.encode(text)) characters += BYTE_CHARACTERS[byte];
  return characters;
}

/** The bytes of a token; one that has other characters stands for itself. */
export function fromByteCharacters(token: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(token.length);
  for (let at = 0; at < token.length; at++) {
    const byte = BYTES.get(token[at]!);
    if (byte === undefined) return UTF8.encode(token);
    bytes[at] = byte;
  }
  return bytes;
}
