import { multiplyAdd } from "./parts/floats";
import {
  COMPLETED,
  LEAVE,
  PUBLISHED,
  REACHED,
  SLEEPERS,
  SLOT_ARGS,
  SLOT_ARRIVED,
  SLOT_BYTES,
  SLOT_PROGRAM,
  SLOT_TAKEN,
  SLOT_TASKS,
  SLOTS,
  STOP,
  WANTED,
} from "../device/cpu/protocol";

/** Looks at a counter so often before a thread sleeps on it. */
const SPINS = 20000;
const NO_LIMIT: i64 = -1;

/**
 * Works at commands from `turn` on, one after another: all threads take tasks of the same command, and
 * none goes on before all of its tasks are done. Returns the turn to go on with where a command says so
 * or the work is over.
 */
export function work(control: usize, ring: usize, threads: u32, scratch: usize, turn: u32): u32 {
  for (;;) {
    awaitPast(control, control + PUBLISHED, turn);
    if (atomic.load<u32>(control, STOP)) break;
    const slot = ring + <usize> (turn & (SLOTS - 1)) * SLOT_BYTES;
    const program = load<u32>(slot, SLOT_PROGRAM);
    const tasks = load<u32>(slot, SLOT_TASKS);
    for (;;) {
      const task = atomic.add<u32>(slot, 1, SLOT_TAKEN);
      if (task >= tasks) break;
      call_indirect<void>(program, slot + SLOT_ARGS, task, scratch);
    }
    if (atomic.add<u32>(slot, 1, SLOT_ARRIVED) == threads - 1) finish(control, turn + 1);
    else awaitPast(control, control + COMPLETED, turn);
    turn++;
    if (program == LEAVE) break;
  }
  return turn;
}

/** Says that so many commands are done. */
function finish(control: usize, turn: u32): void {
  atomic.store<u32>(control, turn, COMPLETED);
  if (atomic.load<u32>(control, SLEEPERS)) atomic.notify(control + COMPLETED, -1);
  if (atomic.load<u32>(control, WANTED) == turn) {
    atomic.add<u32>(control, 1, REACHED);
    atomic.notify(control + REACHED, -1);
  }
}

/** Returns when a counter is no longer at `turn`, or the work is over. */
function awaitPast(control: usize, counter: usize, turn: u32): void {
  for (let spin = 0; spin < SPINS; spin++) {
    if (atomic.load<u32>(counter) != turn) return;
  }
  atomic.add<u32>(control, 1, SLEEPERS);
  while (atomic.load<u32>(counter) == turn && !atomic.load<u32>(control, STOP)) {
    atomic.wait<u32>(counter, turn, NO_LIMIT);
  }
  atomic.sub<u32>(control, 1, SLEEPERS);
}

/**
 * Whether multiplyAdd rounds once: `near` is 1 + 2^-12, whose square two roundings make 1 + 2^-11.
 */
export function fused(near: f32): bool {
  const square = f32x4.extract_lane(f32x4.splat(near), 0) * near;
  const left = multiplyAdd(f32x4.splat(near), f32x4.splat(near), f32x4.splat(-square));
  return f32x4.extract_lane(left, 0) != 0;
}
