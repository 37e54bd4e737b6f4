import type { HostTensor } from "./device/device.ts";
import type { Kernel } from "./device/kernel.ts";
import { describe, f32, u32 } from "./device/tensor.ts";
import wgsl from "./penalize.wgsl" with { type: "text" };

/** What changes the logits of a row. */
export interface RowPenalties {
  readonly repetition: number;
  readonly presence: number;
  readonly frequency: number;
  /** Tokens it concerns, each once. */
  readonly entries: readonly {
    readonly token: number;
    /** Whether it is in the prompt or was generated. */
    readonly seen: boolean;
    /** How often it was generated. */
    readonly times: number;
    readonly bias: number;
  }[];
}

/** Penalties as the kernel takes them: `rows` u32 [rows, 5] and `entries` u32 [at least 1, 4]. */
export function penaltyTensors(
  all: readonly RowPenalties[],
): { readonly rows: HostTensor; readonly entries: HostTensor } {
  const count = all.reduce((sum, { entries }) => sum + entries.length, 0);
  const rows = new Uint32Array(5 * all.length);
  const entries = new Uint32Array(4 * Math.max(1, count));
  const [rowFloats, entryFloats] = [rows, entries].map(({ buffer }) => new Float32Array(buffer));
  let first = 0;
  all.forEach(({ repetition, presence, frequency, entries: mine }, row) => {
    rows.set([first, mine.length], 5 * row);
    rowFloats!.set([repetition, presence, frequency], 5 * row + 2);
    for (const { token, seen, times, bias } of mine) {
      entries.set([token, Number(seen), times], 4 * first);
      entryFloats![4 * first + 3] = bias;
      first++;
    }
  });
  return { rows: u32([all.length, 5], rows), entries: u32([entries.length / 4, 4], entries) };
}

/**
 * Logits f32 [rows, columns] with the penalties of `rows` and `entries` (see `penaltyTensors()`):
 * repetition (Keskar et al. 2019, section 4.1), then presence and frequency as OpenAI defines them,
 * then biases.
 */
export const penalize: Kernel<"logits" | "rows" | "entries", "y", Record<never, never>> = {
  wgsl,
  inputs: ["logits", "rows", "entries"],
  outputs: ["y"],
  plan({ logits, rows, entries }) {
    const [count, columns] = logits.shape;
    if (count === undefined || columns === undefined || logits.shape.length !== 2) {
      throw new RangeError(`Cannot penalize ${describe(logits)}: expected [rows, columns]`);
    }
    if (rows.shape[0] !== count || rows.shape[1] !== 5 || entries.shape[1] !== 4) {
      throw new RangeError(
        `Cannot penalize ${describe(logits)} by rows ${describe(rows)} and entries ${
          describe(entries)
        }: expected u32[${count}, 5] and u32[entries, 4]`,
      );
    }
    return {
      outputs: { y: { dtype: "f32", shape: logits.shape } },
      constants: { THREADS: 256 },
      params: { columns: { u32: columns } },
      grid: [count, 1, 1],
    };
  },
  cpu({ logits }, _options, { params }) {
    return { program: "penalize", tasks: logits.shape[0]!, args: params };
  },
  reference({ logits, rows, entries }) {
    const [count = 0, columns = 0] = logits.shape;
    const data = Float32Array.from(logits.data);
    const floats = ({ data }: HostTensor) => new Float32Array(Uint32Array.from(data).buffer);
    const [rowFloats, entryFloats] = [floats(rows), floats(entries)];
    for (let row = 0; row < count; row++) {
      const [first = 0, number = 0] = rows.data.subarray(5 * row);
      const [repetition = 1, presence = 0, frequency = 0] = rowFloats.subarray(5 * row + 2);
      for (let i = first; i < first + number; i++) {
        const [token = 0, seen = 0, times = 0] = entries.data.subarray(4 * i);
        const at = row * columns + token;
        let value = data[at]!;
        if (seen > 0) value = value > 0 ? value / repetition : value * repetition;
        if (times > 0) value -= presence + times * frequency;
        data[at] = value + entryFloats[4 * i + 3]!;
      }
    }
    return { y: f32(logits.shape, data) };
  },
  cases: [
    penalized(7, [{ repetition: 1.5, presence: 0.5, frequency: 0.25, tokens: [0, 3, 6] }]),
    penalized(300, [
      { repetition: 1, presence: 0, frequency: 0, tokens: [] },
      {
        repetition: 1.2,
        presence: 0,
        frequency: 1,
        tokens: Array.from({ length: 280 }, (_, i) => i),
      },
      { repetition: 0.8, presence: -1, frequency: 0, tokens: [299] },
    ]),
    {
      ...penalized(49_152, [{ repetition: 1.1, presence: 0, frequency: 0, tokens: [5, 90, 4000] }]),
      cost: { bytes: 8 * 49_152, flops: 49_152 },
    },
  ],
};

function penalized(
  columns: number,
  rows: readonly {
    readonly repetition: number;
    readonly presence: number;
    readonly frequency: number;
    readonly tokens: readonly number[];
  }[],
) {
  const penalties = rows.map(({ tokens, ...row }) => ({
    ...row,
    entries: tokens.map((token) => ({
      token,
      seen: token % 3 !== 1,
      times: token % 4,
      bias: token % 5 === 0 ? 2.5 : 0,
    })),
  }));
  return {
    inputs: {
      logits: { dtype: "f32", shape: [rows.length, columns] },
      ...penaltyTensors(penalties),
    },
    options: {},
  } as const;
}
