import type { TokenizerFiles } from "../formats/checkpoint.ts";
import type { Tokenizer } from "../models/tokenizer.ts";
import { fromByteCharacters } from "../tokenizer/byte_characters.ts";

/** What a token adds to the bytes of a text. */
export interface TokenBytes {
  /** Empty for ids that no token has. */
  bytes(id: number): Uint8Array<ArrayBuffer>;
  /** Whether it steers the model and is no text, such as the one that ends answers. */
  special(id: number): boolean;
  /** Whether a text begins with a space that its tokens have and it has not. */
  readonly dropsFirstSpace: boolean;
}

interface Decoder {
  readonly type?: string;
  readonly decoders?: readonly Decoder[];
  readonly prepend_scheme?: string;
  readonly add_prefix_space?: boolean;
  readonly start?: number;
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
}

const UTF8 = new TextEncoder();
const NOTHING = new Uint8Array(0);

/**
 * Reads from the decoder of a `tokenizer.json` which bytes its tokens stand for.
 *
 * Decoding token by token needs them: a character may be spread over several tokens, and the
 * tokenizer itself would put U+FFFD for every part.
 */
export function readTokenBytes(tokenizer: Tokenizer, files: TokenizerFiles): TokenBytes {
  const json = files.tokenizer as {
    readonly decoder?: Decoder | null;
    readonly added_tokens?: readonly AddedToken[];
  };
  const added = new Map(json.added_tokens?.map((token) => [token.id, token]));
  const steps = flat(json.decoder);
  const bytesOf = spellingOf(steps);
  return {
    bytes(id) {
      const token = tokenizer.token(id);
      if (token === undefined) return NOTHING;
      return added.has(id) ? UTF8.encode(token) : bytesOf(token);
    },
    special: (id) => added.get(id)?.special === true,
    dropsFirstSpace: steps.some(dropsSpace),
  };
}

function flat(decoder: Decoder | null | undefined): readonly Decoder[] {
  if (!decoder) return [];
  return decoder.type === "Sequence" ? (decoder.decoders ?? []).flatMap(flat) : [decoder];
}

function dropsSpace({ type, start, prepend_scheme: scheme, add_prefix_space: old }: Decoder) {
  if (type === "Strip") return (start ?? 0) > 0;
  return type === "Metaspace" && (scheme ?? (old === false ? "never" : "always")) !== "never";
}

function spellingOf(steps: readonly Decoder[]): (token: string) => Uint8Array<ArrayBuffer> {
  const types = steps.map(({ type }) => type);
  if (types.includes("ByteLevel")) return fromByteCharacters;
  if (types.includes("ByteFallback") || types.includes("Metaspace")) return sentencePiece;
  throw new TypeError(
    `Cannot stream text of a tokenizer: its decoder is ${types.join(", ") || "missing"}, ` +
      "expected ByteLevel, ByteFallback or Metaspace",
  );
}

function sentencePiece(token: string): Uint8Array<ArrayBuffer> {
  const [, hex] = /^<0x([0-9A-F]{2})>$/.exec(token) ?? [];
  if (hex !== undefined) return Uint8Array.of(parseInt(hex, 16));
  return UTF8.encode(token.replaceAll("▁", " "));
}
