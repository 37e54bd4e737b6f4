import type { Tell } from "./findings.ts";

/** Layers of a large shape that are run: their time a layer says what all would take. */
const LAYERS = [1, 3] as const;

/** Tokens of a prompt and of its answer. */
export interface RoundSize {
  readonly prompt: number;
  readonly output: number;
}

/** What a round is known by: seconds of its prompt, and of a token behind it. */
export interface RoundTime {
  readonly prefill: number;
  readonly step: number;
}

/** A model of some layers, which runs rounds. */
export interface Rounds extends AsyncDisposable {
  run(size: RoundSize): Promise<RoundTime>;
}

/** The sizes of rounds, the largest first: the first that the time has room for is taken. */
const SIZES: readonly RoundSize[] = [
  { prompt: 128, output: 16 },
  { prompt: 64, output: 8 },
  { prompt: 32, output: 4 },
  { prompt: 16, output: 3 },
];
const SMALL = SIZES.at(-1)!;

/**
 * Times a shape of so many layers by as many as two runs need, within the seconds that `left()` tells: a
 * small round says how large the others may be. Rows are told as they are found; where the time ends
 * between, what is known gives a bound.
 */
export async function timeShape(
  layers: number,
  { open, tell, left }: {
    open(count: number): Promise<Rounds>;
    readonly tell: Tell;
    left(): number;
  },
): Promise<void> {
  const times: RoundTime[] = [];
  let size = SMALL;
  for (const count of LAYERS) {
    if (left() <= 0) break;
    try {
      await using rounds = await open(count);
      if (count === LAYERS[0]) {
        await rounds.run(SMALL);
        const small = await rounds.run(SMALL);
        tell(rowOf(count, SMALL, small));
        times[0] = small;
        size = SIZES.find((size) => secondsOfAll(size, small) <= left() / 2) ?? SMALL;
        // Its shaders are compiled the first time.
        if (size !== SMALL) await rounds.run(size);
      }
      const time = size === SMALL && count === LAYERS[0] ? times[0]! : await rounds.run(size);
      if (time !== times[0]) tell(rowOf(count, size, time));
      times[LAYERS.indexOf(count)] = time;
    } catch (error) {
      if (left() > 0) throw error;
      break;
    }
  }
  const [few, more] = times;
  if (!few) return;
  const whole = (of: keyof RoundTime) => {
    if (!more) return layers * few[of];
    const each = Math.max(0, more[of] - few[of]) / (LAYERS[1] - LAYERS[0]);
    return few[of] + (layers - LAYERS[0]) * each;
  };
  const how = more ? `${layers}, reckoned` : `${layers}, at least: time for one layer alone`;
  tell(rowOf(how, size, { prefill: whole("prefill"), step: whole("step") }));
}

/** Seconds of all rounds of a size, by what the small one took: two of one layer, one of three. */
function secondsOfAll({ prompt, output }: RoundSize, small: RoundTime): number {
  const round = small.prefill * prompt / SMALL.prompt + small.step * output;
  return (2 * LAYERS[0] + LAYERS[1]) * round;
}

function rowOf(layers: number | string, { prompt }: RoundSize, { prefill, step }: RoundTime) {
  return {
    layers,
    prompt,
    "prefill tokens/s": (prompt / prefill).toFixed(1),
    "decode tokens/s": (1 / step).toFixed(2),
  };
}
