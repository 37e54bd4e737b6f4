import { FILE_LIMITS } from "../file_limits.ts";

/** A field of a protobuf message: what follows its number on the wire. */
export type ProtobufField = number | Uint8Array;

/** Says that a message ends or goes on where none does. */
export class ProtobufError extends Error {}

/**
 * The fields of a protobuf message in their order, by the encoding's wire types
 * (https://protobuf.dev/programming-guides/encoding): whole numbers, bytes, and numbers of four bytes
 * as floats.
 */
export function* protobufFields(
  bytes: Uint8Array,
): Generator<readonly [number: number, value: ProtobufField]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length: number): number => {
    if (length > bytes.length - at) throw new ProtobufError("it ends within a field");
    at += length;
    return at - length;
  };
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[take(1)]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new ProtobufError("a number has no end");
  };
  for (let count = 0; at < bytes.length; count++) {
    if (count === FILE_LIMITS.fields) throw new ProtobufError(`it has more than ${count} fields`);
    const tag = varint();
    const [number, wire] = [Math.floor(tag / 8), tag % 8];
    if (number === 0) throw new ProtobufError("a field has number 0");
    if (wire === 0) yield [number, varint()];
    else if (wire === 1) yield [number, view.getFloat64(take(8), true)];
    else if (wire === 2) {
      const length = varint();
      const start = take(length);
      yield [number, bytes.subarray(start, start + length)];
    } else if (wire === 5) yield [number, view.getFloat32(take(4), true)];
    else throw new ProtobufError(`a field has wire type ${wire}`);
  }
}
