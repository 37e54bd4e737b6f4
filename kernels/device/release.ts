/**
 * Gives the memory of arrays back at once; they are empty afterwards.
 *
 * The collector frees what nobody uses only when it looks, which it does some hundred megabytes late
 * where pieces of tensors come and go.
 */
export function release(...arrays: readonly ArrayBufferView<ArrayBufferLike>[]): void {
  for (const { buffer, byteLength } of arrays) {
    // A part of a memory is given back with the rest of it.
    if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
  }
}
