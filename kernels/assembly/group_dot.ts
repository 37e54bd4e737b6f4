import { dotOf } from "./parts/dot";

@unmanaged
class Args {
  a: usize;
  b: usize;
  y: usize;
  groups: u32;
  group_quads: u32;
  /** Groups of a task. */
  task_rows: u32;
}

/** Some groups are a task. */
export function groupDot(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.group_quads * 16;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.groups);
  for (let group: usize = first; group < end; group++) {
    const from = group * bytes;
    store<f32>(args.y + group * 4, dotOf(args.a + from, args.b + from, bytes));
  }
}
