import { dequantized, rounded } from "./parts/quantizer";

@unmanaged
class Args {
  weight: usize;
  scales: usize;
  zeros: usize;
  error: usize;
  quads: u32;
  group_quads: u32;
  low: f32;
  high: f32;
  domain: u32;
  /** Groups of a task. */
  task_rows: u32;
}

/** Some groups are a task. */
export function roundingError(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.group_quads * 16;
  const first = task * args.task_rows;
  const end = min(first + args.task_rows, args.quads / args.group_quads);
  const low = f32x4.splat(args.low);
  const high = f32x4.splat(args.high);
  const domain = args.domain;
  for (let group: usize = first; group < end; group++) {
    const scale = f32x4.splat(load<f32>(args.scales + group * 4));
    const zero = f32x4.splat(load<f32>(args.zeros + group * 4));
    const weight = args.weight + group * bytes;
    const error = args.error + group * bytes;
    for (let c: usize = 0; c < bytes; c += 16) {
      const value = v128.load(weight + c);
      const code = f32x4.pmin(f32x4.pmax(rounded(domain, value, scale, zero), low), high);
      v128.store(error + c, f32x4.sub(dequantized(domain, code, scale, zero), value));
    }
  }
}
