import type { Device } from "../../kernels/device/device.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import type { Piece } from "../models/rewrite.ts";
import { Products } from "./products.ts";
import type { VectorTurn } from "./edits.ts";

/** The turn of a matrix f32 [size, size] of any entries, which a device multiplies with. */
export function denseTurn(device: Device, matrix: Float32Array, size: number): VectorTurn {
  return async (piece, axis) => {
    using work = new Products(device);
    const weight = work.transposed(work.upload(f32([size, size], matrix), "rotation"));
    const { values } = piece;
    // A vector turns as a row does.
    if (axis === "rows" || piece.columns === 1) {
      const x = work.upload(f32([valuesOf(piece) / size, size], values));
      values.set((await device.read(work.times(x, weight))).data);
      return;
    }
    const { rows: { start, end }, columns } = piece;
    const block = size * columns;
    for (let at = 0; at < (end - start) * columns; at += block) {
      using own = new Products(device);
      const x = own.upload(f32([size, columns], values.subarray(at, at + block)));
      const turned = own.transposed(own.times(own.transposed(x), weight));
      const { data } = await device.read(turned);
      // Behind the last column stand zeros up to a multiple of 8.
      const [, width = 0] = turned.shape;
      for (let row = 0; row * width < data.length; row++) {
        values.set(data.subarray(row * width, row * width + columns), at + row * columns);
      }
    }
  };
}

/** How many values a piece has, also where only its size is known. */
function valuesOf({ rows: { start, end }, columns }: Piece): number {
  return (end - start) * columns;
}
