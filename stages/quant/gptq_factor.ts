import type { Device, Tensor } from "../../kernels/device/device.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { choleskyPanel, gram } from "../../kernels/mod.ts";

/** How a Gram matrix is damped, ordered and cut. */
export interface GptqFactorOptions {
  /** Added to the diagonal, as a part of its mean; 0.01 unless said. */
  readonly damping?: number;
  /** Columns rounded before their errors are fed to all others; 128 unless said. */
  readonly block?: number;
  /** Most factorizations to try; each after the first adds a tenth of the damping. 250 unless said. */
  readonly tries?: number;
  /** Rounds the columns with the largest activations first; on unless said. */
  readonly activationOrder?: boolean;
  /** Columns of a matrix without values, of which only the work is wanted. */
  readonly columns?: number;
}

/** A damped and factored Gram matrix, for all weights that share an input. */
export interface GptqFactor extends Disposable {
  readonly columns: number;
  readonly block: number;
  /** Original column at each place of the factor; the last place is rounded first. */
  readonly places: Uint32Array;
  /** Original columns whose input is always zero; their weights are rounded as zeros. */
  readonly dead: ReadonlySet<number>;
  /** Rows of V in the order of `places`, upper triangular with V^T V the damped matrix. */
  readonly panels: readonly Tensor[];
  /** Damping that led to a positive definite matrix, as a part of the mean of its diagonal. */
  readonly damping: number;
  /** Factorizations it took. */
  readonly tries: number;
}

/**
 * Orders, damps and factors a Gram matrix f32 [columns, columns] with a number of columns that is a
 * multiple of 8. Throws a RangeError if it does not become positive definite; the caller then rounds
 * to nearest.
 *
 * GPTQ is written with U, upper triangular with U^T U the inverse of the matrix. With the columns in
 * reverse, U is the inverse of V^T, and the current weight at column c is w[c] plus the sum over
 * columns j rounded before of (w[j] - rounded w[j]) V[c, j] / V[c, c], for that sum is what U's
 * updates leave (QuIP, Chee et al. 2023: GPTQ is a case of LDLQ). So one Cholesky factorization is
 * enough, and no inverse is taken.
 */
export async function prepare(
  device: Device,
  gram: Float32Array,
  options: GptqFactorOptions = {},
): Promise<GptqFactor> {
  const { damping = 0.01, block = 128, tries = 250, activationOrder = true } = options;
  const { columns = Math.sqrt(gram.length) } = options;
  if (!Number.isInteger(columns) || columns === 0 || columns % 8 !== 0) {
    throw new RangeError(
      `Cannot factor a Gram matrix: it has ${gram.length} entries, expected the square of a multiple of 8`,
    );
  }
  if (!Number.isInteger(block) || block < 4 || block % 4 !== 0 || block > 256) {
    throw new RangeError(
      `Cannot round in blocks of columns: block is ${block}, expected a multiple of 4, at most 256`,
    );
  }
  checkFinite(gram, "Gram matrix");
  const dead = new Set<number>();
  const diagonal = Float64Array.from({ length: columns }, (_, c) => gram[c * (columns + 1)]!);
  diagonal.forEach((value, c) => {
    if (value < 0) {
      throw new RangeError(
        `Cannot factor a Gram matrix: entry (${c}, ${c}) is ${value}, expected no negative diagonal`,
      );
    }
    if (value === 0) {
      dead.add(c);
      diagonal[c] = 1;
    }
  });
  const order = Uint32Array.from({ length: columns }, (_, c) => c);
  if (activationOrder && gram.length > 0) {
    order.sort((a, b) => diagonal[b]! - diagonal[a]! || a - b);
  }
  const places = order.toReversed();
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / columns;
  for (let tried = 1; tried <= tries; tried++) {
    const part = damping * (1 + 0.1 * (tried - 1));
    const panels = await factorPanels(device, { columns, block }, (first, held) => {
      if (gram.length === 0) return gram;
      const rows = new Float32Array(held * columns);
      for (let row = 0; row < held; row++) {
        const c = places[first + row]!;
        const line = rows.subarray(row * columns, (row + 1) * columns);
        for (let j = 0; j < columns; j++) line[j] = gram[c * columns + places[j]!]!;
        line[first + row] = diagonal[c]! + part * mean;
      }
      return rows;
    });
    if (panels) {
      const dispose = () => panels.forEach((panel) => panel[Symbol.dispose]());
      const held = { columns, block, places, dead, panels, damping: part, tries: tried };
      return { ...held, [Symbol.dispose]: dispose };
    }
  }
  throw new RangeError(
    `Cannot factor a Gram matrix: it is not positive definite with ${
      damping * (1 + 0.1 * (tries - 1))
    } of its mean diagonal added after ${tries} tries, expected it to be; raise the damping`,
  );
}

/** Throws unless every value is finite. */
export function checkFinite(values: Float32Array, name: string): void {
  for (let at = 0; at < values.length; at++) {
    if (Number.isFinite(values[at])) continue;
    throw new RangeError(
      `Cannot use the ${name}: value ${at} is ${values[at]}, expected finite numbers`,
    );
  }
}

/** Gives rows `first` to `first + held` of a symmetric matrix, all columns; they may be overwritten. */
type MatrixRows = (first: number, held: number) => Float32Array;

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
