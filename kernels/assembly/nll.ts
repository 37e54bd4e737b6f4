import { exp1, EXP_TABLE_BYTES, expTable } from "./parts/exp";
import { exponentials, survey } from "./parts/row";

@unmanaged
class Args {
  logits: usize;
  targets: usize;
  state: usize;
  columns: u32;
  column: u32;
  first: u32;
}

/** A row is a task. */
export function nll(at: usize, row: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const columns = args.columns;
  const logits = args.logits + <usize> row * columns * 4;
  const state = args.state + <usize> row * 12;
  let largest = survey(logits, columns, scratch + EXP_TABLE_BYTES);
  let before: f64 = 0;
  if (!args.first) {
    const old = load<f32>(state);
    largest = max(largest, old);
    before = <f64> load<f32>(state, 4) * <f64> exp1(old - largest);
  }
  expTable(scratch);
  const sum = exponentials(logits, columns, largest, scratch);
  store<f32>(state, largest);
  store<f32>(state, <f32> (before + sum), 4);
  // A target before `column` wraps to a large offset.
  const offset = load<u32>(args.targets + <usize> row * 4) - args.column;
  if (offset < columns) store<f32>(state, load<f32>(logits + <usize> offset * 4), 8);
  else if (args.first) store<f32>(state, 0, 8);
}
