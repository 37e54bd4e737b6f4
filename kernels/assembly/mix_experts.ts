import { exp1 } from "./parts/exp";
import { multiplyAdd } from "./parts/floats";

@unmanaged
class Args {
  x: usize;
  places: usize;
  weights: usize;
  beside: usize;
  scores: usize;
  y: usize;
  quads: u32;
  chosen: u32;
  width: u32;
  gate: u32;
  tokens: u32;
  /** Tokens of a task. */
  task_rows: u32;
}

/** Some tokens are a task. */
export function mixExperts(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.quads * 16;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.tokens);
  for (let token: usize = first; token < end; token++) {
    const y = args.y + token * bytes;
    memory.fill(y, 0, bytes);
    for (let i: usize = 0; i < args.chosen; i++) {
      const choice = (token * args.chosen + i) * 4;
      const row = args.x + <usize> load<u32>(args.places + choice) * bytes;
      addTimes(load<f32>(args.weights + choice), row, y, bytes);
    }
    if (!args.beside) continue;
    let factor: f32 = 1;
    if (args.scores) {
      factor = 1 / (1 + exp1(-load<f32>(args.scores + (token * args.width + args.gate) * 4)));
    }
    addTimes(factor, args.beside + token * bytes, y, bytes);
  }
}

/** Adds a row times a factor. */
function addTimes(factor: f32, x: usize, y: usize, bytes: usize): void {
  const by = f32x4.splat(factor);
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(y + at, multiplyAdd(by, v128.load(x + at), v128.load(y + at)));
  }
}
