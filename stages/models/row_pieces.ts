import type { Device, Tensor, TensorRef } from "../../kernels/device/device.ts";
import { copyRows } from "../../kernels/mod.ts";
import type { SiteInput } from "./site_input.ts";

/** Rows of f32 [rows, columns] that one tensor of a device holds. */
export function rowsWithin(
  { limits: { bindingBytes, gridAxis } }: Pick<Device, "limits">,
  columns: number,
): number {
  return Math.max(1, Math.min(gridAxis, Math.floor(bindingBytes / (4 * columns))));
}

/**
 * What is made of an input row by row, f32 [tokens, columns]: at once, or of at most `most` rows at a time
 * where what lies between would be too large for a tensor. Bits are the same. The input is used up, and so
 * are the pieces by `make`.
 */
export function inPieces(
  device: Device,
  input: SiteInput,
  most: number,
  make: (piece: SiteInput) => Tensor,
): Tensor {
  const { tokens } = input;
  if (tokens <= most) return make(input);
  using whole = input;
  let all: Tensor | undefined;
  try {
    for (let first = 0; first < tokens; first += most) {
      using made = make(pieceOf(device, whole, first, Math.min(most, tokens - first)));
      all ??= device.empty({ dtype: "f32", shape: [tokens, made.shape[1]!] });
      device.run(copyRows, { source: made, rows: all }, { to: first });
    }
    return all!;
  } catch (error) {
    all?.[Symbol.dispose]();
    throw error;
  }
}

/** A copy of some rows of an input. */
function pieceOf(
  device: Device,
  { x, quantized }: SiteInput,
  first: number,
  count: number,
): SiteInput {
  using stack = new DisposableStack();
  const rowsOf = (source: TensorRef) => {
    const rows = stack.use(device.empty({ dtype: source.dtype, shape: [count, source.shape[1]!] }));
    device.run(copyRows, { source, rows }, { from: first });
    return rows;
  };
  const codes = quantized &&
    { codes: rowsOf(quantized.codes), scales: rowsOf(quantized.scales) };
  const values = x && rowsOf(x);
  const owned = stack.move();
  return {
    tokens: count,
    ...values && { x: values },
    ...codes && { quantized: codes },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
