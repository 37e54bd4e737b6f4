import { addFeedback, LINE, MATRIX_BYTES, ROWS, turnIn, turnOut } from "./parts/panel_lines";

@unmanaged
class Args {
  weight: usize;
  factor: usize;
  feedback: usize;
  ahead: usize;
  rows: u32;
  columns: u32;
  first: u32;
  held: u32;
}

/**
 * Some rows are a task; their columns lie in the thread's memory as rows. Products and sums are
 * rounded one by one and come in the reference's order.
 */
export function gptqAhead(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const row = task * ROWS;
  const rows = min(ROWS, args.rows - row);
  const next = <usize> args.columns * 4;
  const from = <usize> row * next + <usize> args.first * 4;
  const weights = scratch;
  const sums = weights + MATRIX_BYTES;
  const fed = sums + MATRIX_BYTES;
  turnIn(args.weight + from, next, rows, args.held, weights);
  turnIn(args.feedback + from, next, rows, args.held, sums);
  for (let c = <i32> args.held - 1; c >= 0; c--) {
    const line = <usize> c * LINE;
    const factor = args.factor + (<usize> c * args.columns + args.first + c) * 4;
    // What was fed lies here with its sign turned, so that adding it takes it away.
    addFeedback(factor, fed + line, args.held - c, sums + line);
    const pivot = v128.load_splat<f32>(factor);
    for (let r: usize = 0; r < LINE; r += 16) {
      const mine = f32x4.div(v128.load(sums + line + r), pivot);
      v128.store(fed + line + r, f32x4.neg(mine));
      v128.store(weights + line + r, f32x4.add(v128.load(weights + line + r), mine));
    }
  }
  const to = args.ahead + <usize> row * args.held * 4;
  turnOut(weights, rows, args.held, to, <usize> args.held * 4);
}
