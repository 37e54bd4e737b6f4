import { strip } from "../jinja/characters.ts";
import type { Tokenizer } from "../models/tokenizer.ts";

/** Ids of which the last ones are scored, each by those before it. */
export interface TokenRequest {
  readonly ids: Uint32Array;
  readonly scored: number;
}

/** A context and what may follow it. */
export interface TextPair {
  readonly context: string;
  readonly continuation: string;
}

/** Makes ids of texts as lm-eval 0.4.13 does (`api/model.py`, `models/huggingface.py`, `utils.py`). */
export class RequestEncoder {
  readonly #tokenizer: Tokenizer;
  /** What stands before an empty context. */
  readonly prefix: number;
  readonly #prefixText: string;
  /** Most ids that a model is given. */
  readonly maxLength: number;
  /** Ids of texts that come again and again, such as the contexts of choices. */
  #last: { readonly text: string; readonly ids: readonly number[] } | undefined;

  /** Throws a `TypeError` where the tokenizer has neither a first nor a last token. */
  constructor(tokenizer: Tokenizer, maxLength: number) {
    const prefix = tokenizer.bos ?? tokenizer.eos;
    if (prefix === undefined) {
      throw new TypeError(
        "Cannot score tasks: the model's tokenizer names neither bos_token nor eos_token, expected one to stand before empty contexts",
      );
    }
    this.#tokenizer = tokenizer;
    this.prefix = prefix;
    this.#prefixText = tokenizer.decode([prefix]);
    this.maxLength = maxLength;
  }

  /** Ids of a text with what the model puts around texts, unless it begins so already. */
  encode(text: string): readonly number[] {
    if (this.#last?.text === text) return this.#last.ids;
    const special = !text.startsWith(this.#prefixText);
    const ids = this.#tokenizer.encode(text, { special });
    this.#last = { text, ids };
    return ids;
  }

  /**
   * A continuation behind its context: white space at the context's end is of the continuation, both
   * are cut into tokens as one text, and what is too long loses its beginning.
   *
   * Where both become one token nothing is left to be scored, which lm-eval takes for certain. Throws a
   * `RangeError` for a continuation that is longer than all the model takes.
   */
  pair({ context, continuation }: TextPair): TokenRequest {
    const { before, after } = this.#split({ context, continuation });
    if (after.length > this.maxLength) {
      throw new RangeError(
        `Cannot score "${
          continuation.slice(0, 60)
        }": it has ${after.length} tokens behind its context, expected at most ${this.maxLength}`,
      );
    }
    const ids = [...before, ...after].slice(-(this.maxLength + 1));
    return { ids: Uint32Array.from(ids), scored: after.length };
  }

  /** All ids of a text, in windows that do not overlap in what they score. */
  rolling(text: string): readonly TokenRequest[] {
    const ids = this.encode(text);
    const most = this.maxLength;
    const windows: TokenRequest[] = [];
    for (let from = 0; from < ids.length;) {
      const scored = Math.min(most, ids.length - from);
      const end = from + scored;
      const before = from === 0 ? [this.prefix] : ids.slice(end - most - 1, from);
      windows.push({ ids: Uint32Array.from([...before, ...ids.slice(from, end)]), scored });
      from = end;
    }
    return windows;
  }

  #split({ context, continuation }: TextPair) {
    const bare = strip(context, null, "right");
    const moved = context.slice(bare.length) + continuation;
    const before = bare === "" ? [] : this.encode(bare);
    if (before.length > 0) {
      const whole = this.#tokenizer.encode(bare + moved, {
        special: !bare.startsWith(this.#prefixText),
      });
      return { before, after: whole.slice(before.length) };
    }
    const own = this.#tokenizer.encode(moved);
    return own[0] === this.prefix
      ? { before: own.slice(0, 1), after: own.slice(1) }
      : { before: [this.prefix], after: own };
  }
}
