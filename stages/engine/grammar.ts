/** What an answer must look like: rules in the EBNF of xgrammar, which reads GBNF; one is `root`. */
export type Grammar = string;

/** The tokens of a model as bytes, for threads that match them; memory that all of them share. */
export interface Vocabulary {
  /** Those of all tokens one after another; none for tokens that are no text. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** Where each begins in them, and where the last ends. */
  readonly offsets: Uint32Array<SharedArrayBuffer>;
  /** Tokens that end answers. */
  readonly ends: readonly number[];
}

/** Holds one answer to its grammar. */
export interface Constraint extends Disposable {
  /**
   * Which tokens may come next, a bit each (bit t % 32 of word t / 32 for token t); undefined while that
   * is found out.
   */
  readonly allowed: Uint32Array | undefined;
  /** The same behind each token of the draft that was told of, as far as the grammar allows it. */
  readonly along: readonly Uint32Array[];
  /** Why the grammar cannot be used, once that is known. */
  readonly failure: string | undefined;
  /** Says that a token has come; `allowed` is not known then for a while. */
  accept(token: number): void;
  /** Says, in the turn of a token that came, which ones may follow it; see `along`. */
  follow(draft: readonly number[]): void;
  /** Resolves when `allowed` or `failure` is there. */
  settled(): Promise<void>;
}

/** Opens constraints. */
export interface Grammars extends Disposable {
  open(grammar: Grammar): Constraint;
}

/** The tokens of a vocabulary as the threads share them. */
export function shareVocabulary(
  size: number,
  ends: readonly number[],
  bytesOf: (token: number) => Uint8Array,
): Vocabulary {
  const all = Array.from({ length: size }, (_, token) => bytesOf(token));
  const length = all.reduce((sum, bytes) => sum + bytes.length, 0);
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  const offsets = new Uint32Array(new SharedArrayBuffer(4 * (size + 1)));
  let at = 0;
  all.forEach((token, i) => {
    bytes.set(token, at);
    at += token.length;
    offsets[i + 1] = at;
  });
  return { bytes, offsets, ends };
}
