import { encodeGguf, type GgufEntry, ggufPadded } from "../../stages/formats/gguf/encoding.ts";

/** A metadata value and the GGUF type it is written as. */
export type Entry = GgufEntry;

/** A tensor to write: its axes outermost first, its ggml type by number, its bytes. */
export interface GgufPart {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** What a GGUF file is to hold. */
export interface GgufContent {
  readonly metadata: Readonly<Record<string, Entry>>;
  readonly tensors: readonly GgufPart[];
}

/** The bytes of a GGUF file; types and sizes need not be ones that ggml knows. */
export function ggufBytes({ metadata, tensors }: GgufContent): Uint8Array<ArrayBuffer> {
  const outlines = tensors.map((each) => ({ ...each, bytes: each.bytes.length }));
  const { header, starts } = encodeGguf({ metadata, tensors: outlines });
  const length = tensors.reduce((sum, { bytes }) => sum + ggufPadded(bytes.length), header.length);
  const file = new Uint8Array(length);
  file.set(header);
  tensors.forEach(({ bytes }, i) => file.set(bytes, starts[i]));
  return file;
}
