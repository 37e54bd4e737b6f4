import type { GenerationRequest } from "./engine.ts";
import type { Constraint } from "./grammar.ts";
import { PromptLookup } from "./prompt_lookup.ts";

/** A request and how far it has come. */
export interface Sequence {
  readonly id: number;
  readonly request: GenerationRequest;
  /** Prompt and answer so far. */
  readonly tokens: number[];
  /** Pages of its keys and values, in order. */
  readonly pages: number[];
  /** When it was taken, and when its first step began, as `performance.now()` says. */
  readonly added: number;
  begun: number | undefined;
  /** Tokens whose keys and values are in the pages. */
  computed: number;
  /** Tokens of the prompt that were found in the cache when it was first admitted. */
  cached: number | undefined;
  /** Holds its answer to a grammar. */
  constraint: Constraint | undefined;
  /** Tokens that may follow, to be run with its last one; guessed by its lookup. */
  draft: readonly number[];
  readonly lookup: PromptLookup;
  /** Whether its last step ended before it was known what its grammar allows. */
  missed: boolean;
}

/** A sequence that has not begun. */
export function newSequence(id: number, request: GenerationRequest): Sequence {
  return {
    id,
    request,
    tokens: [...request.prompt],
    pages: [],
    added: performance.now(),
    begun: undefined,
    computed: 0,
    cached: undefined,
    constraint: undefined,
    draft: [],
    lookup: new PromptLookup(),
    missed: false,
  };
}

/** Whether its next token cannot be chosen yet: it is not known which ones its grammar allows. */
export function waitsForGrammar({ constraint }: Sequence): boolean {
  return constraint !== undefined && constraint.allowed === undefined;
}

/** Whether no step is to be spent on it before its grammar has spoken: it missed one already. */
export function isHeldBack(sequence: Sequence): boolean {
  return sequence.missed && waitsForGrammar(sequence);
}

/** Tokens generated so far. */
export function generated({ tokens, request }: Sequence): number {
  return tokens.length - request.prompt.length;
}

/** Tokens that its answer may still have. */
export function remaining(sequence: Sequence, context: number): number {
  const { request, tokens } = sequence;
  return Math.min(request.maxTokens - generated(sequence), context - tokens.length);
}

/** Whether the sequence is done, and why, after its last token. */
export function endOf(
  sequence: Sequence,
  context: number,
): "stop" | "length" | undefined {
  const { request, tokens } = sequence;
  const made = generated(sequence);
  if (made > 0 && request.stopTokens.includes(tokens.at(-1)!)) return "stop";
  if (remaining(sequence, context) <= 0) return "length";
  return undefined;
}
