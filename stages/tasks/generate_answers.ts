import type { Device } from "../../kernels/device/device.ts";
import { EngineMemory } from "../engine/engine_memory.ts";
import { EngineLoop } from "../engine/engine_loop.ts";
import { GREEDY } from "../engine/engine.ts";
import { planMemory } from "../engine/engine_sizes.ts";
import type { Model } from "../models/model.ts";
import type { ServedTokenizer } from "../serve/served_tokenizer.ts";
import { openTextStream } from "../serve/text_stream.ts";
import { watchForStops } from "../serve/stop_strings.ts";

/** A prompt and how its answer ends. */
export interface AnswerWish {
  readonly prompt: readonly number[];
  /** Texts before which an answer is cut. */
  readonly until: readonly string[];
  readonly maxTokens: number;
  /** Tokens that an answer has at least, before a token ends it. */
  readonly minTokens: number;
  /** Tokens that end the answer, beside the model's own. */
  readonly stopTokens: readonly number[];
}

/** How answers are generated. */
export interface AnswerOptions {
  readonly tokenizer: ServedTokenizer;
  readonly memoryBytes: number;
  readonly signal: AbortSignal;
  /** Takes an answer as soon as it is there. */
  take(place: number, text: string): Promise<void>;
}

/** An answer under way. */
interface Answering {
  readonly place: number;
  readonly wish: AnswerWish;
  readonly tokens: number[];
  readonly watch: ReturnType<typeof watchForStops>;
  readonly stream: ReturnType<typeof openTextStream>;
}

/**
 * Generates answers in the engine that serves models, as many at once as it takes, the likeliest token
 * each time. The model must be on the device as a whole; device and model stay the caller's.
 */
export async function generateAnswers(
  device: Device,
  model: Model,
  wishes: readonly (AnswerWish & { readonly place: number })[],
  { tokenizer, memoryBytes, signal, take }: AnswerOptions,
): Promise<void> {
  if (wishes.length === 0) return;
  const longest = wishes.reduce(
    (most, { prompt, maxTokens }) => Math.max(most, prompt.length + maxTokens),
    0,
  );
  const memory = new EngineMemory(device.limits, model);
  const { sizes } = await planMemory(memory, { memoryBytes, wishes: { context: longest } });
  await model.loadWhole();
  using loop = new EngineLoop(device, model, sizes, { choices: tokenizer.usable });
  const waiting = wishes.toReversed();
  const live = new Map<number, Answering>();
  const ends = [
    ...new Set([...tokenizer.ends, ...tokenizer.eos === undefined ? [] : [tokenizer.eos]]),
  ];
  let id = 0;
  const finish = async ({ place, tokens, wish }: Answering) => {
    const text = tokenizer.decode(tokens.filter((token) => !tokenizer.special(token)));
    await take(place, cutAt(text, wish.until));
  };
  while (waiting.length > 0 || live.size > 0) {
    signal.throwIfAborted();
    while (waiting.length > 0 && live.size < sizes.step.sequences) {
      const { place, ...wish } = waiting.pop()!;
      const { prompt, maxTokens, minTokens } = wish;
      const stopTokens = [...new Set([...ends, ...wish.stopTokens])];
      live.set(id, {
        place,
        wish,
        tokens: [],
        watch: watchForStops(wish.until),
        stream: openTextStream(tokenizer, {}),
      });
      loop.add(id++, { prompt, sampling: GREEDY, maxTokens, minTokens, stopTokens });
    }
    for (const [request, event] of await loop.step()) {
      const answering = live.get(request);
      if (!answering) continue;
      if (event.type === "token") {
        const { tokens, stream, watch } = answering;
        tokens.push(event.token);
        const seen = watch.push(ends.includes(event.token) ? "" : stream.push(event.token));
        if (seen.stopped) {
          loop.abort(request);
          live.delete(request);
          await finish(answering);
        }
      } else if (event.type === "end") {
        live.delete(request);
        await finish(answering);
      }
    }
  }
}

/** What stands before the first of some texts. */
function cutAt(text: string, until: readonly string[]): string {
  return until.reduce((text, stop) => text.split(stop)[0]!, text);
}
