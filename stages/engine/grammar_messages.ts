import type { Grammar, Vocabulary } from "./grammar.ts";

/** What a thread of grammars is told. */
export type ToGrammars =
  | { readonly type: "vocabulary"; readonly vocabulary: Vocabulary }
  /** Begins an answer; `tokens` are those that have come already. */
  | {
    readonly type: "open";
    readonly id: number;
    readonly grammar: Grammar;
    readonly tokens: readonly number[];
  }
  /** What has come in some answers. */
  | { readonly type: "accept"; readonly answers: readonly AcceptedTokens[] }
  | { readonly type: "close"; readonly id: number };

/** Tokens that have come in an answer, and those that may follow. */
export interface AcceptedTokens {
  readonly id: number;
  readonly tokens: readonly number[];
  readonly draft: readonly number[];
}

/** What it tells: what may come next in some answers, or why it does not know. */
export type FromGrammars =
  /**
   * Masks of these answers, one behind the other, equally long: of each what may come next, and behind
   * so many tokens of its draft.
   */
  | {
    readonly type: "allowed";
    readonly answers: readonly (readonly [id: number, drafted: number])[];
    readonly masks: Uint32Array<ArrayBuffer>;
  }
  | { readonly type: "failed"; readonly id: number; readonly why: string }
  /** So often the library has given up by now; memory that it held then is lost. */
  | { readonly type: "aborts"; readonly count: number };
