import { expTable } from "./parts/exp";
import { gate } from "./parts/gate";

@unmanaged
class Args {
  gate: usize;
  up: usize;
  y: usize;
  quads: u32;
  row: u32;
  /** Whether gates go through GELU instead of SiLU. */
  gelu: u32;
  /** Quads of a task. */
  task_quads: u32;
}

/** A run of values is a task. */
export function glu(at: usize, task: u32, scratch: usize): void {
  const args = changetype<Args>(at);
  expTable(scratch);
  let quad = task * args.task_quads;
  const end = min(quad + args.task_quads, args.quads);
  const width = <usize> args.row * 16;
  if (args.up) {
    const first = <usize> quad * 16;
    const bytes = <usize> (end - quad) * 16;
    gate(args.gate + first, args.up + first, bytes, scratch, args.y + first, args.gelu);
    return;
  }
  while (quad < end) {
    const row = quad / args.row;
    const last = min(end, (row + 1) * args.row);
    const from = args.gate + (<usize> quad + <usize> row * args.row) * 16;
    const bytes = <usize> (last - quad) * 16;
    gate(from, from + width, bytes, scratch, args.y + <usize> quad * 16, args.gelu);
    quad = last;
  }
}
