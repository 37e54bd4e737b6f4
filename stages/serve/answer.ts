import type { GenerationEvent, GenerationRequest, ScoredToken } from "../engine/engine.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import { watchForStops } from "./stop_strings.ts";
import { codePoints, openTextStream } from "./text_stream.ts";

/** What one answer is asked for. */
export interface AnswerRequest {
  readonly generation: GenerationRequest;
  /** Texts that end the answer. */
  readonly stops: readonly string[];
  /** Whether the text that ended the answer is shown. */
  readonly keepStop: boolean;
  /** Whether tokens that are no text are shown. */
  readonly special: boolean;
  /** Of them those that are shown in any case, since they tell parts of an answer apart. */
  readonly marks?: readonly number[];
}

/** A token of an answer with the characters of the answer before it. */
export interface PlacedToken extends ScoredToken {
  readonly offset: number;
}

/** What happens to an answer, in this order: `prompt` once, `text` as it comes, `end` once. */
export type AnswerEvent =
  | {
    readonly type: "prompt";
    readonly cached: number;
    readonly scores: readonly ScoredToken[];
    /** Of the prompt, where it was asked for. */
    readonly embedding?: Float32Array;
  }
  | {
    readonly type: "text";
    readonly text: string;
    /** Tokens that begin in what was shown by now; those of a text that ended the answer never come. */
    readonly tokens: readonly PlacedToken[];
  }
  | {
    readonly type: "end";
    readonly reason: "stop" | "length";
    /** Tokens generated, shown or not. */
    readonly tokens: number;
    /** The text that ended it, where one did. */
    readonly stop?: string;
  };

/** Makes text of what an engine generates; leaves it once a text that ends the answer has come. */
export async function* answer(
  events: AsyncIterable<GenerationEvent>,
  { request, tokenizer }: {
    readonly request: AnswerRequest;
    readonly tokenizer: ServedTokenizer;
  },
): AsyncGenerator<AnswerEvent> {
  const { generation, stops, keepStop: keep, special, marks } = request;
  const ends = new Set(generation.stopTokens);
  const text = openTextStream(tokenizer, { special, ...marks && { marks } });
  const watch = watchForStops(stops, { keep });
  let waiting: (PlacedToken & { readonly begin: number })[] = [];
  let [begin, offset, shown, count] = [0, 0, 0, 0];
  const show = (piece: string, { last = false } = {}): AnswerEvent => {
    shown += piece.length;
    const ready = last ? waiting : waiting.filter((token) => token.begin < shown);
    waiting = last ? [] : waiting.filter((token) => token.begin >= shown);
    return { type: "text", text: piece, tokens: ready.map(({ begin: _, ...token }) => token) };
  };
  for await (const event of events) {
    switch (event.type) {
      case "prompt":
        yield {
          type: "prompt",
          cached: event.cached,
          scores: event.scores ?? [],
          ...event.embedding && { embedding: event.embedding },
        };
        break;
      case "token": {
        const { type: _, ...scored } = event;
        waiting.push({ ...scored, begin, offset });
        count++;
        // A token that ends the answer is no part of it, even where it is one of the words.
        const piece = ends.has(event.token) && !(special && tokenizer.special(event.token))
          ? ""
          : text.push(event.token);
        begin += piece.length;
        offset += codePoints(piece);
        const seen = watch.push(piece);
        if (seen.text !== "") yield show(seen.text);
        if (!seen.stopped) break;
        yield { type: "end", reason: "stop", tokens: count, stop: seen.stop! };
        return;
      }
      case "end": {
        const seen = watch.push(text.end());
        const rest = seen.text + watch.end();
        if (rest !== "" || waiting.length > 0) yield show(rest, { last: !seen.stopped });
        yield {
          type: "end",
          reason: seen.stopped ? "stop" : event.reason,
          tokens: count,
          ...seen.stop !== undefined && { stop: seen.stop },
        };
        return;
      }
    }
  }
}
