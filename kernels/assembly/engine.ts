import { multiplyAdd } from "./parts/floats";
import {
  COMPLETED,
  PUBLISHED,
  REACHED,
  SENT,
  SLEEPERS,
  SLOT_ARGS,
  SLOT_BYTES,
  SLOT_DONE,
  SLOT_LEFT,
  SLOT_PROGRAM,
  SLOT_TASKS,
  SLOTS,
  STOP,
  WANTED,
} from "../device/cpu/protocol";

/** Looks at a counter so often before a thread sleeps on it. */
const SPINS = 20000;
const NO_LIMIT: i64 = -1;

/**
 * Works at commands, one after another: all threads that are there take tasks of the same command, and
 * whoever ends the last one begins the next. Nobody waits for a thread that is late: it goes on where
 * the others are. Returns when told to stop, or when functions were sent more often than it `heard`.
 */
export function work(control: usize, ring: usize, scratch: usize, heard: u32): void {
  for (;;) {
    const turn = atomic.load<u32>(control, COMPLETED);
    awaitPast(control, control + PUBLISHED, turn);
    if (atomic.load<u32>(control, STOP)) return;
    // The functions of a command are sent before it is handed over.
    if (atomic.load<u32>(control, SENT) != heard) return;
    const slot = ring + <usize> (turn & (SLOTS - 1)) * SLOT_BYTES;
    let done: u32 = 0;
    for (let left = take(slot, turn); left; left = take(slot, turn)) {
      const task = load<u32>(slot, SLOT_TASKS) - left;
      call_indirect<void>(load<u32>(slot, SLOT_PROGRAM), slot + SLOT_ARGS, task, scratch);
      done++;
    }
    if (done && endsWith(slot, done)) finish(control, turn + 1);
    else awaitPast(control, control + COMPLETED, turn);
  }
}

/**
 * Takes a task of a command; gives how many were left, 0 where none or where it was completed. To the
 * end of the task the slot stays this command's.
 */
function take(slot: usize, turn: u32): u32 {
  let seen = atomic.load<u64>(slot, SLOT_LEFT);
  while (<u32> seen && <u32> (seen >> 32) == turn) {
    const found = atomic.cmpxchg<u64>(slot, seen, seen - 1, SLOT_LEFT);
    if (found == seen) return <u32> seen;
    seen = found;
  }
  return 0;
}

/** Whether all tasks of a command are done with so many more. */
function endsWith(slot: usize, done: u32): bool {
  const tasks = load<u32>(slot, SLOT_TASKS);
  return atomic.add<u32>(slot, done, SLOT_DONE) + done == tasks;
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
