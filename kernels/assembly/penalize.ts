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
  const y = args.y + task * bytes;
  memory.copy(y, args.logits + task * bytes, bytes);
  const row = changetype<Row>(args.rows + <usize> task * offsetof<Row>());
  for (let i: u32 = 0; i < row.count; i++) {
    const entry = changetype<Entry>(args.entries + <usize> (row.first + i) * offsetof<Entry>());
    if (entry.token >= args.columns) continue;
    const place = y + <usize> entry.token * 4;
    let value = load<f32>(place);
    if (entry.seen) value = value > 0 ? value / row.repetition : value * row.repetition;
    if (entry.times) value -= row.presence + <f32> entry.times * row.frequency;
    store<f32>(place, value + entry.bias);
  }
  if (!args.allowed) return;
  const words = (args.columns + 31) / 32;
  const bits = args.allowed + <usize> task * words * 4;
  for (let w: u32 = 0; w < words; w++) {
    const word = load<u32>(bits + <usize> w * 4);
    if (word === 0xffffffff) continue;
    const end = min(32, args.columns - w * 32);
    const place = y + <usize> w * 128;
    for (let c: u32 = 0; c < end; c++) {
      if (((word >> c) & 1) === 0) store<f32>(place + <usize> c * 4, FORBIDDEN);
    }
  }
}
