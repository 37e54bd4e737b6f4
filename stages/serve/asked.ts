import type { AnswerRequest } from "./answer.ts";
import type { ChatLayout } from "./chat_parts.ts";

/** A request for answers as it was read: all that is needed to answer it, and nothing of its text. */
export interface Asked {
  /** The place of its model among those of the server; the first unless said. */
  readonly model?: number;
  /** An answer each; those to one prompt follow each other. */
  readonly requests: readonly AnswerRequest[];
  /** Answers to each prompt. */
  readonly each: number;
  /** Of them so many are given, the likeliest a token; all unless said. */
  readonly kept?: number;
  /** Likeliest tokens at every place of the prompt; undefined where its scores are not wanted. */
  readonly promptScores?: number;
  readonly stream: boolean;
  /** Whether a stream ends with the usage. */
  readonly usage: boolean;
  /** Likeliest tokens to score besides the chosen one; undefined where no scores are wanted. */
  readonly logprobs: number | undefined;
  /** Whether tokens of log-probabilities are spelt `token_id:123`. */
  readonly asIds: boolean;
  /** What answers in a conversation are divided by. */
  readonly chat?: ChatLayout;
  /** Fields that the answer gives back as they came. */
  readonly echoed?: Readonly<Record<string, unknown>>;
  /** A prompt each, where prompts are given back before their answers. */
  readonly echoes?: readonly Echo[];
}

/** A prompt as it stands before its answer: its text, and where its tokens begin in it. */
export interface Echo {
  readonly text: string;
  /** Its characters, as Python counts them. */
  readonly points: number;
  readonly tokens: readonly number[];
  readonly offsets: Uint32Array;
}
