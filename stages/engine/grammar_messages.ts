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
  | { readonly type: "accept"; readonly id: number; readonly token: number }
  | { readonly type: "close"; readonly id: number };

/** What it tells: what may come next in an answer, or why it does not know. */
export type FromGrammars =
  | { readonly type: "allowed"; readonly id: number; readonly allowed: Uint32Array<ArrayBuffer> }
  | { readonly type: "failed"; readonly id: number; readonly why: string }
  /** So often the library has given up by now; memory that it held then is lost. */
  | { readonly type: "aborts"; readonly count: number };
