import { expFallingBy4, expTable } from "./parts/exp";
import { four } from "./parts/row";

@unmanaged
class Args {
  logits: usize;
  targets: usize;
  state: usize;
  dy: usize;
  columns: u32;
  column: u32;
  width: u32;
  factor: f32;
}

/** A row is a task. */
export function nllBackward(at: usize, row: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const columns = args.columns;
  const logits = args.logits + <usize> row * columns * 4;
  const dy = args.dy + <usize> row * args.width * 4;
  const state = args.state + <usize> row * 12;
  expTable(scratch);
  const most = v128.load32_splat(state);
  const share = f32x4.splat(args.factor / load<f32>(state, 4));
  for (let c: u32 = 0; c < args.width; c += 4) {
    // Behind the last column stands minus infinity, which weighs nothing.
    const values = c < columns ? four(logits, c, columns) : f32x4.splat(-Infinity);
    const weights = expFallingBy4(scratch, f32x4.sub(values, most));
    v128.store(dy + <usize> c * 4, f32x4.mul(weights, share));
  }
  // A target before `column` wraps to a large offset.
  const offset = load<u32>(args.targets + <usize> row * 4) - args.column;
  if (offset >= columns) return;
  const target = dy + <usize> offset * 4;
  store<f32>(target, load<f32>(target) - args.factor);
}
