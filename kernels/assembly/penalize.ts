@unmanaged
class Args {
  logits: usize;
  rows: usize;
  entries: usize;
  /** 0 where all tokens may be chosen. */
  allowed: usize;
  y: usize;
  columns: u32;
}

/** What of the entries belongs to a row, and its penalties. */
@unmanaged
class Row {
  first: u32;
  count: u32;
  repetition: f32;
  presence: f32;
  frequency: f32;
}

@unmanaged
class Entry {
  token: u32;
  seen: u32;
  times: u32;
  bias: f32;
}

/** What a token gets that may not be chosen. */
const FORBIDDEN: f32 = -1e30;

/** A row is a task. */
export function penalize(at: usize, task: u32, _scratch: usize): void {
  const args = changetype<Args>(at);
  const bytes = <usize> args.columns * 4;
  const x = args.logits + task * bytes;
  const y = args.y + task * bytes;
  const words = (args.columns + 31) / 32;
  const bits = args.allowed ? args.allowed + <usize> task * words * 4 : 0;
  if (bits) copyAllowed(x, y, bits, args.columns);
  else memory.copy(y, x, bytes);
  const row = changetype<Row>(args.rows + <usize> task * offsetof<Row>());
  for (let i: u32 = 0; i < row.count; i++) {
    const entry = changetype<Entry>(args.entries + <usize> (row.first + i) * offsetof<Entry>());
    const token = entry.token;
    if (token >= args.columns) continue;
    if (bits && !((load<u32>(bits + <usize> (token / 32) * 4) >> (token % 32)) & 1)) continue;
    const place = y + <usize> token * 4;
    let value = load<f32>(place);
    if (entry.seen) value = value > 0 ? value / row.repetition : value * row.repetition;
    if (entry.times) value -= row.presence + <f32> entry.times * row.frequency;
    store<f32>(place, value + entry.bias);
  }
}

/** Copies the logits whose bit is set, and puts the others far below all. */
function copyAllowed(x: usize, y: usize, bits: usize, columns: u32): void {
  const never = f32x4.splat(FORBIDDEN);
  const lanes = i32x4(1, 2, 4, 8);
  const whole = columns / 32;
  for (let w: u32 = 0; w < whole; w++) {
    const word = load<u32>(bits + <usize> w * 4);
    const from = x + <usize> w * 128;
    const to = y + <usize> w * 128;
    if (word === 0) {
      for (let c: usize = 0; c < 128; c += 16) v128.store(to + c, never);
    } else if (word === 0xffffffff) {
      for (let c: usize = 0; c < 128; c += 16) v128.store(to + c, v128.load(from + c));
    } else {
      let rest = word;
      for (let c: usize = 0; c < 128; c += 16) {
        const here = v128.and(i32x4.splat(rest), lanes);
        const kept = i32x4.eq(here, lanes);
        v128.store(to + c, v128.bitselect(v128.load(from + c), never, kept));
        rest >>= 4;
      }
    }
  }
  for (let c = whole * 32; c < columns; c++) {
    const kept = (load<u32>(bits + <usize> whole * 4) >> (c % 32)) & 1;
    store<f32>(y + <usize> c * 4, kept ? load<f32>(x + <usize> c * 4) : FORBIDDEN);
  }
}
