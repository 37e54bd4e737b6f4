import { exp1 } from "./parts/exp";

@unmanaged
class Args {
  scores: usize;
  weights: usize;
  experts: usize;
  columns: u32;
  count: u32;
  chosen: u32;
  tokens: u32;
  normalized: u32;
  /** Tokens of a task. */
  task_rows: u32;
}

/** Some tokens are a task. */
export function routeTokens(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.tokens);
  for (let token: usize = first; token < end; token++) {
    const scores = args.scores + token * args.columns * 4;
    const to = token * args.chosen * 4;
    route(args, scores, args.weights + to, args.experts + to, scratch);
  }
}

/** The experts of a token; `taken` has a byte for each of them. */
function route(args: Args, scores: usize, weights: usize, experts: usize, taken: usize): void {
  const count = args.count;
  memory.fill(taken, 0, count);
  let most: f32 = -Infinity;
  for (let c: usize = 0; c < count; c++) most = max(most, load<f32>(scores + c * 4));
  let all: f32 = 0;
  for (let c: usize = 0; !args.normalized && c < count; c++) {
    all += exp1(load<f32>(scores + c * 4) - most);
  }
  const end = <usize> args.chosen * 4;
  for (let i: usize = 0; i < end; i += 4) {
    const expert = largestLeft(scores, count, taken);
    store<u8>(taken + expert, 1);
    const weight = exp1(load<f32>(scores + <usize> expert * 4) - most);
    if (args.normalized) all += weight;
    store<f32>(weights + i, weight);
    store<u32>(experts + i, expert);
  }
  for (let i: usize = 0; i < end; i += 4) store<f32>(weights + i, load<f32>(weights + i) / all);
}

/** The first expert of the largest score among those that are not taken. */
function largestLeft(scores: usize, count: u32, taken: usize): u32 {
  let best: f32 = -Infinity;
  let place = count;
  for (let c: u32 = 0; c < count; c++) {
    if (load<u8>(taken + c)) continue;
    const value = load<f32>(scores + <usize> c * 4);
    if (place === count || value > best) {
      best = value;
      place = c;
    }
  }
  return place;
}
