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
  /** Tokens that have come in some answers. */
  | { readonly type: "accept"; readonly tokens: readonly (readonly [id: number, token: number])[] }
  | { readonly type: "close"; readonly id: number };

/** What it tells: what may come next in some answers, or why it does not know. */
export type FromGrammars =
  /** The masks of these answers, one behind the other, equally long. */
  | {
    readonly type: "allowed";
    readonly ids: readonly number[];
    readonly masks: Uint32Array<ArrayBuffer>;
  }
  | { readonly type: "failed"; readonly id: number; readonly why: string }
  /** So often the library has given up by now; memory that it held then is lost. */
  | { readonly type: "aborts"; readonly count: number };
