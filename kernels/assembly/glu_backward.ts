import { EXP_ONE, expFallingBy4, expTable } from "./parts/exp";

@unmanaged
class Args {
  x: usize;
  dy: usize;
  dx: usize;
  quads: u32;
  row: u32;
  /** Quads of a task. */
  task_quads: u32;
}

/** A run of values is a task. */
export function gluBackward(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  expTable(scratch);
  const one = v128.load(scratch, EXP_ONE);
  const width = <usize> args.row * 16;
  const first = task * args.task_quads;
  const end = min(first + args.task_quads, args.quads);
  for (let quad = first; quad < end; quad++) {
    const from = (<usize> quad + <usize> (quad / args.row) * args.row) * 16;
    const gate = v128.load(args.x + from);
    const up = v128.load(args.x + from + width);
    const own = v128.load(args.dy + <usize> quad * 16);
    // No exponential is of a positive number: below 0, both sides are taken times exp(gate).
    const fall = expFallingBy4(scratch, f32x4.pmin(gate, f32x4.neg(gate)));
    const below = f32x4.lt(gate, f32x4.splat(0));
    const open = f32x4.div(v128.bitselect(fall, one, below), f32x4.add(fall, one));
    const shut = f32x4.sub(one, open);
    const slope = f32x4.mul(open, f32x4.add(one, f32x4.mul(gate, shut)));
    v128.store(args.dx + from, f32x4.mul(f32x4.mul(own, up), slope));
    v128.store(args.dx + from + width, f32x4.mul(f32x4.mul(own, gate), open));
  }
}
