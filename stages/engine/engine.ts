import type { Grammar } from "./grammar.ts";
import type { StepSizes } from "./step_sizes.ts";

/** How the next token of a request is chosen from its logits. */
export interface Sampling {
  /** Divides the logits; 0 takes the likeliest token. */
  readonly temperature: number;
  /** Only so many of the likeliest tokens; 0 for all. */
  readonly topK: number;
  /** Only the likeliest tokens that together have this probability; 1 for all. */
  readonly topP: number;
  /** Only tokens with at least this share of the likeliest one's probability; 0 for all. */
  readonly minP: number;
  /** Taken from the logits of tokens generated before, once each. */
  readonly presencePenalty: number;
  /** Taken from the logits of tokens generated before, as often as they came. */
  readonly frequencyPenalty: number;
  /** Divides positive logits, and multiplies others, of tokens in the prompt or generated before. */
  readonly repetitionPenalty: number;
  /** Added to the logits of tokens by id. */
  readonly logitBias: readonly (readonly [token: number, bias: number])[];
  /** Draws this request's random numbers, whatever else is in the batch; 32 bits. */
  readonly seed: number;
}

/** Takes the likeliest token, whatever was said before. */
export const GREEDY: Sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
  seed: 0,
};

/** What an engine is asked for. */
export interface GenerationRequest {
  /** Ids of the prompt, as they are; at least one. */
  readonly prompt: readonly number[];
  readonly sampling: Sampling;
  /** Most tokens to generate; 0 only looks at the prompt. */
  readonly maxTokens: number;
  /** Tokens that end the answer; the one that did is its last token. */
  readonly stopTokens: readonly number[];
  /** Tokens that an answer has at least: before, none that ends it is chosen; 0 unless said. */
  readonly minTokens?: number;
  /** Rows of tokens that never come: the last of a row is not chosen behind the others. */
  readonly badWords?: readonly (readonly number[])[];
  /** What the answer must look like; it ends where that is complete. */
  readonly grammar?: Grammar;
  /** So many likeliest tokens with every token generated; undefined for no log-probabilities. */
  readonly logprobs?: number;
  /** The same for the tokens of the prompt from the second on. */
  readonly promptLogprobs?: number;
  /** The number of the adapter that it goes through, from 1 on; none unless said. */
  readonly adapter?: number;
  /** Asks for one vector of the prompt: of all its tokens, or of its last one. */
  readonly embed?: "mean" | "last";
}

/** A token and what the model thought of it, before temperature and penalties. */
export interface ScoredToken {
  readonly token: number;
  /** Natural logarithm of its probability, where it was asked for. */
  readonly logprob?: number;
  /** The likeliest tokens, the first one first, where they were asked for. */
  readonly top?: readonly (readonly [token: number, logprob: number])[];
}

/** What happens to a request, in this order: `prompt` once, `token` each, `end` once. */
export type GenerationEvent =
  | {
    readonly type: "prompt";
    /** Tokens whose keys and values were there already. */
    readonly cached: number;
    /** Seconds in the queue before its first step. */
    readonly queued: number;
    /** From the second token on, where they were asked for. */
    readonly scores?: readonly ScoredToken[];
    /** The mean or last of what the head reads, of length 1, where it was asked for. */
    readonly embedding?: Float32Array;
  }
  | ({ readonly type: "token" } & ScoredToken)
  | { readonly type: "end"; readonly reason: "stop" | "length" };

/** What an engine is, and what it has done since it started. */
export interface EngineState {
  readonly running: number;
  readonly waiting: number;
  /** Tokens of the prompts that wait. */
  readonly waitingTokens: number;
  /** Numbers of adapters through which requests go that run, and that wait. */
  readonly adapters: { readonly running: readonly number[]; readonly waiting: readonly number[] };
  readonly pages: { readonly used: number; readonly cached: number; readonly total: number };
  readonly steps: number;
  readonly stepSizes: StepSizes;
  readonly promptTokens: number;
  readonly generatedTokens: number;
  readonly preemptions: number;
  readonly prefixCache: { readonly queries: number; readonly hits: number };
  /** Drafts that were run, their tokens, and those of them that were right. */
  readonly speculation: {
    readonly drafts: number;
    readonly draftTokens: number;
    readonly acceptedTokens: number;
  };
}

/** Why an engine does not take or finish a request. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  /**
   * `full`: a queue is at its cap; `unavailable`: it loads, drains or restarts; `too_long`: the request
   * can never fit; `grammar`: its grammar cannot be used; `failed`: its device or worker was lost on the
   * way.
   */
  readonly why: "full" | "unavailable" | "too_long" | "grammar" | "failed";

  constructor(why: EngineError["why"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.why = why;
  }
}

/** Serves many requests from one model by running their steps together. */
export interface Engine extends AsyncDisposable {
  /** Longest prompt and answer together, in tokens. */
  readonly context: number;
  /** Whether requests are taken now. */
  readonly state: "loading" | "ready" | "draining" | "failed";
  /** What it did and holds at this moment. */
  stats(): EngineState;
  /**
   * Starts a request; throws an `EngineError` before the first event where it is not taken, and later
   * where it cannot be finished. Aborting the signal, or returning from the loop, frees its pages at
   * the next step.
   */
  generate(request: GenerationRequest, signal?: AbortSignal): AsyncIterable<GenerationEvent>;
  /** Takes no more requests and waits for those under way. */
  drain(signal?: AbortSignal): Promise<void>;
}
