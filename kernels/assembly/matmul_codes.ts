import { SCRATCH_BYTES } from "../device/cpu/protocol";
import { codeLine } from "./parts/code_line";
import {
  CODE_TABLE_BYTES,
  codeTable,
  eightCodes,
  layScales,
  lowerValues,
  scaleBytes,
  upperValues,
} from "./parts/code_values";
import { expertTile, tileExpert, tileFirst, tileRows } from "./parts/expert_tile";
import {
  addProducts,
  beginProduct,
  DEEP,
  nextPanels,
  PANEL_STEP,
  panelColumn,
} from "./parts/float_product";

/** Bytes of the scales of a column in panels, whose groups have 8 values at least: see `layScales`. */
const SCALES: usize = 2 * (DEEP / 8 + 8) * 4;

@unmanaged
class Args {
  x: usize;
  weight: usize;
  groups: usize;
  y: usize;
  bias: usize;
  bounds: usize;
  rows: u32;
  inner: u32;
  columns: u32;
  column: u32;
  row: u32;
  stride: u32;
  group: u32;
  expert: u32;
  nibbles: u32;
  zero: u32;
  /** Rows and columns of a task. */
  task_rows: u32;
  task_columns: u32;
  /** How many experts have their weights here; 0 where rows are not those of experts. */
  experts: u32;
}

/** A block of rows and columns is a task: its weights become floats once, then floats are multiplied. */
export function matmulCodes(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  if (args.nibbles) withZero<u8>(args, task, scratch);
  else withZero<u16>(args, task, scratch);
}

/** The same for a width of codes: see `eightCodes`. */
function withZero<C>(args: Args, task: u32, scratch: usize): void {
  if (args.zero == 2) multiply<C, u32>(args, task, scratch);
  else if (args.zero == 1) multiply<C, u16>(args, task, scratch);
  else multiply<C, u8>(args, task, scratch);
}

function multiply<C, Z>(args: Args, task: u32, scratch: usize): void {
  const across = (args.columns + args.task_columns - 1) / args.task_columns;
  const down = task / across;
  const firstColumn = (task % across) * args.task_columns;
  let firstRow = down * args.task_rows;
  let rows = min(args.task_rows, args.rows - firstRow);
  let above = args.row;
  if (args.experts) {
    const tile = expertTile(args.bounds, args.expert, args.experts, args.task_rows, down);
    rows = tileRows(tile);
    if (!rows) return;
    firstRow = tileFirst(tile);
    above += tileExpert(tile) * args.columns;
  }
  const columns = min(args.task_columns, args.columns - firstColumn);
  const bytes = <usize> args.inner * 4;
  const column = args.column + firstColumn;
  const table = scratch;
  codeTable<Z>(table);
  scratch += CODE_TABLE_BYTES;
  // Four rows of weights at least make a line: a row alone goes along them if there is room for scales.
  const groups = columns * (args.inner / args.group);
  if (rows == 1 && columns >= 4 && scaleBytes(groups) <= <usize> SCRATCH_BYTES / 4) {
    const y = args.y + (<usize> firstRow * args.stride + column) * 4;
    const x = args.x + firstRow * bytes;
    lines<C, Z>(args, x, above + firstColumn, columns, column, y, table, scratch);
    return;
  }
  const product = beginProduct(scratch + SCALES, rows, columns, 0, args.inner);
  product.x = args.x + firstRow * bytes;
  product.stride = bytes;
  product.y = args.y + (<usize> firstRow * args.stride + column) * 4;
  product.next = <usize> args.stride * 4;
  product.bias = args.bias ? args.bias + <usize> column * 4 : 0;
  for (let from: u32 = 0; nextPanels(product, from); from += product.deep) {
    for (let n: u32 = 0; n < columns; n++) {
      const row = above + firstColumn + n;
      const to = from + product.deep;
      unpack<C, Z>(args, row, from, to, table, scratch, panelColumn(product, n));
    }
    addProducts(product);
  }
}

/**
 * A row by rows of the weight from `row` on: four at a time, a quarter of them apart, for memory is read
 * ahead where a thread goes along it; the last ones overlap those before.
 */
function lines<C, Z>(
  args: Args,
  x: usize,
  row: u32,
  columns: u32,
  column: u32,
  y: usize,
  table: usize,
  scratch: usize,
): void {
  const rowBytes = codeBytes<C>(args.inner);
  const groups = args.inner / args.group;
  const groupBytes = <usize> groups * 4;
  const codes = args.weight + <usize> row * rowBytes;
  const scales = scratch + 128;
  layScales<C, Z>(args.groups + <usize> row * groupBytes, columns * groups, table, scales);
  const bias = scaleBytes(columns * groups);
  const quarter = columns / 4;
  const turns = quarter + (columns % 4 ? 1 : 0);
  for (let n: usize = 0; n < turns; n++) {
    // Behind the quarters come four neighbours, the last of all.
    const rest = n == quarter;
    const first: usize = rest ? columns - 4 : n;
    const apart: usize = rest ? 1 : quarter;
    const sums = codeLine<C, Z>(
      x,
      codes + first * rowBytes,
      apart * rowBytes,
      scales + first * groupBytes,
      apart * groupBytes,
      bias,
      args.group,
      args.inner,
      table,
      scratch,
    );
    v128.store(scratch, sums);
    for (let part: usize = 0; part < 4; part++) {
      const at = 4 * (first + part * apart);
      const sum = load<f32>(scratch + 4 * part);
      store<f32>(
        y + at,
        args.bias ? sum + load<f32>(args.bias + <usize> column * 4 + at) : sum,
      );
    }
  }
}

/** What some codes of a row of the weight stand for, to a column of a panel; scales go to `scratch`. */
function unpack<C, Z>(
  args: Args,
  row: u32,
  from: u32,
  to: u32,
  table: usize,
  scratch: usize,
  out: usize,
): void {
  const size = args.group;
  const first = from / size;
  const count = (to - 1) / size + 1 - first;
  layScales<C, Z>(
    args.groups + <usize> (row * (args.inner / size) + first) * 4,
    count,
    table,
    scratch,
  );
  const apart = scaleBytes(count);
  const low = v128.load(table);
  const high = v128.load(table, 16);
  const bits = v128.load(table, 32);
  let codes = args.weight + <usize> row * codeBytes<C>(args.inner) + codeBytes<C>(from);
  for (let end = (first + 1) * size; from < to; end += size) {
    const scale = v128.load32_splat(scratch);
    const bias = v128.load32_splat(scratch + apart);
    for (const last = codes + codeBytes<C>(min(end, to) - from); codes < last;) {
      const eight = eightCodes<C, Z>(codes);
      v128.store(out, lowerValues<C, Z>(eight, low, bits, scale, bias));
      v128.store(out, upperValues<C, Z>(eight, high, bits, scale, bias), 16);
      codes += 4 * sizeof<C>();
      out += PANEL_STEP;
    }
    from = end;
    scratch += 4;
  }
}

/** Bytes of so many codes. */
function codeBytes<C>(count: u32): usize {
  return <usize> count * sizeof<C>() / 2;
}
