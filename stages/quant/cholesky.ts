import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { choleskyPanel, gram } from "../../kernels/mod.ts";

/** Gives rows `first` to `first + held` of a symmetric matrix, all columns; they may be overwritten. */
export type MatrixRows = (first: number, held: number) => Float32Array;

/**
 * Factors a symmetric matrix H [columns, columns] on the device in f32: panels f32 [block, columns]
 * of V, upper triangular with V^T V = H; undefined where a pivot is not positive. Entries of the
 * panels left of the diagonal are those of H.
 *
 * Right-looking and in place: a panel's diagonal block, the columns behind it, then what it takes
 * from each later panel. The one readback comes at the end. It takes 4 columns^2 bytes and
 * columns^3 / 3 operations: 822 MB and 0.98 TFLOP for an inner size of 14,336.
 */
export async function factorPanels(
  device: Device,
  { columns, block }: { readonly columns: number; readonly block: number },
  rows: MatrixRows,
): Promise<Tensor[] | undefined> {
  using stack = new DisposableStack();
  using failed = device.upload(u32([1]));
  const panels: Tensor[] = [];
  for (let first = 0; first < columns; first += block) {
    const held = Math.min(block, columns - first);
    panels.push(stack.use(device.upload(f32([held, columns], rows(first, held)), "Gram matrix")));
  }
  panels.forEach((panel, k) => {
    device.run(choleskyPanel, { panel, failed }, { first: k * block, part: "diagonal" });
    device.run(choleskyPanel, { panel, failed }, { first: k * block, part: "behind" });
    for (let i = k + 1; i < panels.length; i++) {
      device.run(gram, { x: panel, sum: panels[i]! }, { first: i * block, factor: -1 });
    }
  });
  if ((await device.read(failed)).data[0]) return undefined;
  stack.move();
  return panels;
}
