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
      entries[4 * first] = token;
      entries[4 * first + 1] = Number(seen);
      entries[4 * first + 2] = times;
      entryFloats![4 * first + 3] = bias;
      first++;
    }
  });
  return { rows: u32([all.length, 5], rows), entries: u32([entries.length / 4, 4], entries) };
}

/**
 * What a token gets that must not be chosen: far below any logit, and finite, since shaders may take it
 * that nothing is infinite.
 */
export const FORBIDDEN = -1e30;

/** What a row of a case has that changes nothing by itself. */
const NONE = { repetition: 1, presence: 0, frequency: 0, tokens: [] };

/**
 * Logits f32 [rows, columns] with the penalties of `rows` and `entries` (see `penaltyTensors()`):
 * repetition (Keskar et al. 2019, section 4.1), then presence and frequency as OpenAI defines them,
 * then biases. Of `allowed` u32 [rows, columns / 32 rounded up] bit c % 32 of word c / 32 says whether
 * token c may be chosen; where it may not its logit becomes `FORBIDDEN`. Of `rows` and `allowed` there
 * may be more than of the logits; the first ones count.
 */
export const penalize: Kernel<
  "logits" | "rows" | "entries" | "allowed",
  "y",
  Record<never, never>,
  never,
  "allowed"
> = {
  wgsl,
  inputs: ["logits", "rows", "entries", "allowed"],
  outputs: ["y"],
  optional: ["allowed"],
  plan({ logits, rows, entries, allowed }) {
    const [count, columns] = logits.shape;
    if (count === undefined || columns === undefined || logits.shape.length !== 2) {
      throw new RangeError(`Cannot penalize ${describe(logits)}: expected [rows, columns]`);
    }
    if (!(rows.shape[0]! >= count) || rows.shape[1] !== 5 || entries.shape[1] !== 4) {
      throw new RangeError(
        `Cannot penalize ${describe(logits)} by rows ${describe(rows)} and entries ${
          describe(entries)
        }: expected at least u32[${count}, 5] and u32[entries, 4]`,
      );
    }
    const words = Math.ceil(columns / 32);
    if (allowed && (!(allowed.shape[0]! >= count) || allowed.shape[1] !== words)) {
      throw new RangeError(
        `Cannot allow tokens of ${describe(logits)} by ${
          describe(allowed)
        }: expected at least u32[${count}, ${words}]`,
      );
    }
    return {
      outputs: { y: { dtype: "f32", shape: logits.shape } },
      constants: { THREADS: 256, SOME: allowed !== undefined },
      params: { columns: { u32: columns } },
      grid: [count, 1, 1],
    };
  },
  cpu({ logits }, _options, { params }) {
    return { program: "penalize", tasks: logits.shape[0]!, args: params };
  },
  reference({ logits, rows, entries, allowed }) {
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
      const words = Math.ceil(columns / 32);
      for (let token = 0; allowed && token < columns; token++) {
        const word = allowed.data[row * words + Math.floor(token / 32)]!;
        if ((word >>> token % 32 & 1) === 0) data[row * columns + token] = FORBIDDEN;
      }
    }
    return { y: f32(logits.shape, data) };
  },
  get cases(): typeof penalize.cases {
    return [
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
        ...penalized(49_152, [{
          repetition: 1.1,
          presence: 0,
          frequency: 0,
          tokens: [5, 90, 4000],
        }]),
        cost: { bytes: 8 * 49_152, flops: 49_152 },
      },
      allowing(penalized(1, [NONE])),
      allowing(penalized(64, [NONE, NONE])),
      allowing(penalized(301, [
        { repetition: 1.2, presence: 0, frequency: 1, tokens: [0, 1, 2, 31, 32, 33, 299, 300] },
        NONE,
        { repetition: 0.8, presence: -1, frequency: 0, tokens: [299] },
      ])),
      withMore(allowing(penalized(96, [NONE, { ...NONE, frequency: 1, tokens: [3, 94] }]))),
      {
        ...allowing(penalized(49_152, Array(16).fill(NONE))),
        cost: { bytes: 8 * 16 * 49_152, flops: 16 * 49_152 },
      },
    ];
  },
};

/** The same where some tokens of every row may not be chosen: all of its last, and others by chance. */
function allowing<T extends ReturnType<typeof penalized>>(plain: T) {
  const [rows, columns] = plain.inputs.logits.shape;
  const words = Math.ceil(columns / 32);
  const bits = Uint32Array.from(
    { length: rows * words },
    (_, at) => at % words === words - 1 ? 1 : Math.imul(at + 1, 0x9e3779b9) >>> 0,
  );
  return { ...plain, inputs: { ...plain.inputs, allowed: u32([rows, words], bits) } } as const;
}

/** The same with rows behind those of the logits, which change nothing. */
function withMore<T extends ReturnType<typeof allowing<ReturnType<typeof penalized>>>>(plain: T) {
  const { rows, allowed } = plain.inputs;
  const more = ({ shape: [count, columns], data }: HostTensor) => {
    const all = new Uint32Array((count! + 2) * columns!);
    all.set(data);
    return u32([count! + 2, columns!], all);
  };
  return {
    ...plain,
    inputs: { ...plain.inputs, rows: more(rows), allowed: more(allowed) },
  } as const;
}

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
