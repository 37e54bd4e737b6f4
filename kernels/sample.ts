import type { HostTensor } from "./device/device.ts";
import type { Kernel } from "./device/kernel.ts";
import { describe, u32 } from "./device/tensor.ts";
import reduce from "./parts/row_reduce.wgsl" with { type: "text" };
import { rowShaders, rowShare } from "./parts/row_shares.ts";
import wgsl from "./sample.wgsl" with { type: "text" };

/** How the token of a row is chosen. */
export interface SampleSettings {
  /** 0 takes the largest logit. */
  readonly temperature: number;
  /** 0 for all tokens; equals of the last one stay too. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
  /** Which of the numbers that the seed draws, such as the place of the token in its answer. */
  readonly step: number;
}

/** Settings as the kernel takes them: u32 [rows, 6]. */
export function sampleSettings(rows: readonly SampleSettings[]): HostTensor {
  const words = new Uint32Array(6 * rows.length);
  const floats = new Float32Array(words.buffer);
  rows.forEach(({ temperature, topK, topP, minP, seed, step }, row) => {
    floats[6 * row] = temperature;
    words[6 * row + 1] = topK;
    floats[6 * row + 2] = topP;
    floats[6 * row + 3] = minP;
    words[6 * row + 4] = seed;
    words[6 * row + 5] = step;
  });
  return u32([rows.length, 6], words);
}

/** Which tokens are chosen from. */
interface SampleOptions {
  /** Only the first ones, where a head has rows that stand for no token; all unless said. */
  readonly choices?: number;
}

/**
 * Chooses a token for every row of `logits` f32 [rows, columns] as `settings` u32 [rows, 6] says (see
 * `sampleSettings()`): `tokens` u32 [rows].
 *
 * Temperature first, then top-k, then top-p of what is left, and min-p. Tokens are drawn by the Gumbel
 * trick: the largest of logit + noise has the probability of its softmax. The noise depends on seed,
 * step and token alone, so a row's token does not depend on the others.
 */
export const sample: Kernel<"logits" | "settings", "tokens", SampleOptions> = {
  wgsl: rowShaders(`${reduce}\n${wgsl}`),
  inputs: ["logits", "settings"],
  outputs: ["tokens"],
  plan({ logits, settings }, { choices }, limits) {
    const [rows, columns] = logits.shape;
    if (rows === undefined || columns === undefined || logits.shape.length !== 2) {
      throw new RangeError(`Cannot sample from ${describe(logits)}: expected [rows, columns]`);
    }
    if (settings.dtype !== "u32" || settings.shape[0] !== rows || settings.shape[1] !== 6) {
      throw new RangeError(
        `Cannot sample from ${describe(logits)} by ${describe(settings)}: expected u32[${rows}, 6]`,
      );
    }
    if (choices !== undefined && !(choices > 0 && choices <= columns)) {
      throw new RangeError(
        `Cannot sample ${choices} tokens from ${describe(logits)}: expected 1 to ${columns}`,
      );
    }
    const { share, ...shader } = rowShare(limits);
    return {
      ...shader,
      outputs: { tokens: { dtype: "u32", shape: [rows] } },
      constants: { THREADS: Math.min(256, limits.groupThreads), ...share },
      params: { columns: { u32: columns }, choices: { u32: choices ?? columns } },
      grid: [rows, 1, 1],
    };
  },
  cpu({ logits }, _options, { params }) {
    return { program: "sample", tasks: logits.shape[0]!, args: params };
  },
  reference({ logits, settings }, { choices }) {
    const [rows = 0, columns = 0] = logits.shape;
    const words = settings.data as Uint32Array;
    const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
    const tokens = Uint32Array.from({ length: rows }, (_, row) => {
      const first = row * columns;
      const end = first + (choices ?? columns);
      const values = logits.data.subarray(first, end) as Float32Array;
      const at = 6 * row;
      return choose(values, {
        temperature: floats[at]!,
        topK: words[at + 1]!,
        topP: floats[at + 2]!,
        minP: floats[at + 3]!,
        seed: words[at + 4]!,
        step: words[at + 5]!,
      });
    });
    return { tokens: u32([rows], tokens) };
  },
  cases: [
    asked(5, [{}, { temperature: 1 }, { temperature: 1, topK: 1 }]),
    asked(300, [
      { temperature: 0.7, topK: 40, topP: 0.9, seed: 3, step: 9 },
      { temperature: 0 },
      { temperature: 1.3, minP: 0.1, seed: 0xffffffff, step: 1 },
      { temperature: 1, topP: 0.3, seed: 77 },
      { temperature: 2, topK: 300 },
    ]),
    asked(301, [{}, { temperature: 1.5 }, { temperature: 1, topK: 250, topP: 0.9 }], 203),
    asked(1_024, [{ temperature: 0 }, { temperature: 1, topK: 20, seed: 3 }]),
    asked(49_152, [{ temperature: 1, topK: 50, topP: 0.8, seed: 9 }]),
    asked(70_000, [{ temperature: 1, topK: 50, seed: 5 }, { temperature: 0 }]),
    asked(256_000, [{ temperature: 1, topK: 40, topP: 0.95, seed: 2 }]),
    { ...asked(49_152, Array(16).fill({})), cost: { bytes: 4 * 16 * 49_152, flops: 16 * 49_152 } },
    {
      ...asked(49_152, Array(16).fill({ temperature: 0.8, topK: 40, topP: 0.95 })),
      cost: { bytes: 4 * 16 * 49_152, flops: 16 * 49_152 },
      timedOnly: true,
    },
    {
      ...asked(49_152, Array(16).fill({ temperature: 1, topP: 0.9 })),
      cost: { bytes: 4 * 16 * 49_152, flops: 16 * 49_152 },
      timedOnly: true,
    },
    {
      ...asked(256_000, Array(4).fill({ temperature: 0.8, topK: 40, topP: 0.95 })),
      cost: { bytes: 4 * 4 * 256_000, flops: 4 * 256_000 },
      timedOnly: true,
    },
  ],
};

function choose(values: Float32Array, ask: SampleSettings): number {
  const { temperature, topK, topP, minP, seed, step } = ask;
  const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
  const most = values[order[0]!]!;
  if (temperature === 0) return order[0]!;
  const weight = (token: number) => Math.exp((values[token]! - most) / temperature);
  let kept = order;
  if (topK > 0 && topK < kept.length) {
    const last = values[kept[topK - 1]!]!;
    kept = kept.filter((token) => values[token]! >= last);
  }
  if (topP < 1) {
    const within = kept.reduce((sum, token) => sum + weight(token), 0);
    let sum = 0;
    const at = kept.findIndex((token) => (sum += weight(token)) >= topP * within);
    const last = values[kept[at]!]!;
    kept = kept.filter((token) => values[token]! >= last);
  }
  if (minP > 0) {
    const least = most + Math.log(minP) * temperature;
    kept = kept.filter((token) => values[token]! >= least);
  }
  const drawn = (token: number) =>
    (values[token]! - most) / temperature + noise({ seed, step, token });
  return kept.reduce((best, token) => drawn(token) > drawn(best) ? token : best);
}

function noise(
  { seed, step, token }: { readonly seed: number; readonly step: number; readonly token: number },
): number {
  const drawn = scramble(scramble(seed) ^ step) + Math.imul(token, 0x9e3779b9) >>> 0;
  return -Math.log(-Math.log(((scramble(drawn) >>> 9) + 0.5) / 2 ** 23));
}

function scramble(word: number): number {
  let h = Math.imul(word ^ word >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return (h ^ h >>> 16) >>> 0;
}

function asked(columns: number, rows: readonly Partial<SampleSettings>[], choices?: number) {
  const plain = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 1, step: 0 };
  return {
    inputs: {
      logits: { dtype: "f32", shape: [rows.length, columns] },
      settings: sampleSettings(rows.map((row) => ({ ...plain, ...row }))),
    },
    options: choices === undefined ? {} : { choices },
    tolerance: 0,
  } as const;
}
