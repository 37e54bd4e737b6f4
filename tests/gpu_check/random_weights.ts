import type { Making } from "./findings.ts";

/** Layers of a large shape that are run first: their time a layer says what all would take. */
const LAYERS = [1, 3] as const;

/** Tokens of a prompt and of its answer, and how many such requests run at once. */
export interface RoundSize {
  readonly prompt: number;
  readonly output: number;
  readonly batch: number;
}

/** What a round is known by: seconds of all its prompts, and of a step behind them. */
export interface RoundTime {
  readonly prefill: number;
  readonly step: number;
}

/** A model of some layers, which runs rounds. */
export interface Rounds extends AsyncDisposable {
  run(size: RoundSize): Promise<RoundTime>;
}

/** A shape, and how it is run. */
export interface TimedShape {
  /** How many layers all are. */
  readonly layers: number;
  open(layers: number): Promise<Rounds>;
  /** Puts right what memory that ran out has ended. */
  renew?(): Promise<void>;
  /** Seconds that memory and arithmetic of the card need at least, by so many layers. */
  least?(layers: number, size: RoundSize): Promise<RoundTime>;
}

/** The sizes of rounds, the largest first: the first that the time has room for is taken. */
const SIZES: readonly RoundSize[] = [
  { prompt: 1024, output: 64, batch: 1 },
  { prompt: 512, output: 32, batch: 1 },
  { prompt: 128, output: 16, batch: 1 },
  { prompt: 64, output: 8, batch: 1 },
  { prompt: 32, output: 4, batch: 1 },
  { prompt: 16, output: 3, batch: 1 },
];
const SMALL = SIZES.at(-1)!;
/** Batches that are tried behind a single request, with short prompts: what a server would have. */
const BATCHES = [16, 64, 128].map((batch): RoundSize => ({ prompt: 64, output: 16, batch }));

/**
 * Times a shape of so many layers by as many as two runs need, within the seconds that `left()` tells: a
 * small round says how large the others may be. Where time and memory have room, all layers run; else
 * they are reckoned. Rows are told as they are found; where the time ends between, what is known gives
 * a bound.
 */
export async function timeShape(
  shape: TimedShape,
  { tell, at, left, leave }: Pick<Making, "tell" | "at" | "left" | "leave">,
): Promise<void> {
  const { layers, open } = shape;
  const row = async (count: number, size: RoundSize, time: RoundTime) =>
    tell(rowOf(count, size, time, await shape.least?.(count, size)));
  const times: RoundTime[] = [];
  const opened: number[] = [];
  let size = SMALL;
  for (const count of LAYERS) {
    if (left() <= 0) break;
    try {
      at(`${count} layers`);
      const before = left();
      await using rounds = await open(count);
      opened.push(before - left());
      if (count === LAYERS[0]) {
        await rounds.run(SMALL);
        const small = await rounds.run(SMALL);
        await row(count, SMALL, small);
        times[0] = small;
        size = SIZES.find((size) => secondsOfAll(size, small) <= left() / 2) ?? SMALL;
        // Its shaders are compiled the first time.
        if (size !== SMALL) await rounds.run(size);
      }
      const time = size === SMALL && count === LAYERS[0] ? times[0]! : await rounds.run(size);
      if (time !== times[0]) await row(count, size, time);
      times[LAYERS.indexOf(count)] = time;
    } catch (error) {
      if (left() > 0) throw error;
      break;
    }
  }
  const [few, more] = times;
  if (!few) return leave(`${layers} layers`);
  if (!more) {
    leave(`more than ${LAYERS[0]} of ${layers} layers`);
    const least = { prefill: layers * few.prefill, step: layers * few.step };
    return tell(rowOf(`${layers}, at least: time for one layer alone`, size, least));
  }
  const all = (a: number, b: number) => a + (layers - LAYERS[0]) * Math.max(0, b - a) / 2;
  const whole = { prefill: all(few.prefill, more.prefill), step: all(few.step, more.step) };
  tell(rowOf(`${layers}, reckoned`, size, whole, await shape.least?.(layers, size)));
  const seconds = all(opened[0]!, opened[1]!) + 2 * (whole.prefill + size.output * whole.step);
  if (seconds > left() / 2) return leave(`all ${layers} layers at once`);
  // What is at work, for the case that the time ends in it.
  let doing = `all ${layers} layers at once`;
  try {
    at(`${layers} layers`);
    await using rounds = await open(layers);
    await rounds.run(SMALL);
    await row(layers, size, await rounds.run(size));
    for (const batch of BATCHES) {
      // A step of more sequences takes at least as long, and their prompts so much longer.
      const prompts = whole.prefill * batch.batch * batch.prompt / size.prompt;
      doing = `batches of ${batch.batch} and more`;
      if (2 * (prompts + batch.output * whole.step) > left() / 2) return leave(doing);
      at(`${layers} layers, ${batch.batch} sequences`);
      await rounds.run({ ...batch, output: 3 });
      await row(layers, batch, await rounds.run(batch));
    }
  } catch (error) {
    if (left() <= 0) return leave(doing);
    // What is known is not lost with the memory, of which WebGPU does not tell how much there is.
    if (!/no memory|memory could not/.test((error as Error).message)) throw error;
    tell({ layers, note: (error as Error).message });
    await shape.renew?.();
  }
}

/** Seconds of all rounds of a size, by what the small one took: two of one layer, one of three. */
function secondsOfAll({ prompt, output }: RoundSize, small: RoundTime): number {
  const round = small.prefill * prompt / SMALL.prompt + small.step * output;
  return (2 * LAYERS[0] + LAYERS[1]) * round;
}

function rowOf(
  layers: number | string,
  { prompt, batch }: RoundSize,
  { prefill, step }: RoundTime,
  least?: RoundTime,
) {
  const share = (of: keyof RoundTime, time: number) =>
    least ? `${(100 * least[of] / time).toFixed(0)} %` : "";
  return {
    layers,
    batch,
    prompt,
    "prefill tokens/s": (batch * prompt / prefill).toFixed(1),
    "of the ceiling": share("prefill", prefill),
    "decode tokens/s": (batch / step).toFixed(2),
    "of the floor": share("step", step),
  };
}
