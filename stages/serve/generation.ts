import type { Grammar } from "../engine/grammar.ts";
import { ApiError, fieldError } from "./api_error.ts";
import type { AnswerRequest } from "./answer.ts";
import type { SamplingFields } from "./sampling_fields.ts";
import type { ReadingRules } from "./reading_rules.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import { answerGrammar } from "./structured/answer_grammar.ts";

/** What a request asks of every answer, but for its prompt and seed. */
export interface Wishes {
  readonly fields: SamplingFields;
  /** Answers to each prompt; `n` unless said. */
  readonly each?: number;
  readonly maxTokens: {
    /** Most tokens of an answer, where it was said, and the field that says it. */
    readonly count: number | null | undefined;
    readonly field: string;
    /** Most tokens where nothing was said; as many as fit unless given. */
    readonly usual?: number;
  };
  /** What answers must look like whatever the fields say. */
  readonly grammar?: Grammar | undefined;
  readonly logprobs?: number | undefined;
  readonly promptLogprobs?: number | undefined;
}

/** Seeds are unsigned numbers of 32 bits. */
const SEEDS = 2 ** 32;

/**
 * Turns prompts and the fields of a request into what the engine is asked for, `n` answers to each.
 *
 * A prompt that does not fit is refused rather than cut: what was cut would be missing without a word.
 * More tokens than fit behind it are asked for as many as fit, or refused where the server is strict.
 */
export function answerRequests(
  rules: ReadingRules,
  wishes: Wishes,
  prompts: readonly (readonly number[])[],
): AnswerRequest[] {
  const { fields } = wishes;
  // One of its own where the request says none.
  const first = fields.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  const seeds = Array.from({ length: wishes.each ?? fields.n ?? 1 }, (_, choice) => first + choice);
  const own = rules.options.stop;
  const stops = [...own, ...[fields.stop ?? []].flat()].filter((text) => text !== "");
  checkStops(stops);
  // One list for all of them: answers travel between threads, and what is shared travels once.
  const bias = readBias(fields.logit_bias, rules.tokenizer.usable);
  const shared = {
    stops,
    bias,
    grammar: wishes.grammar ?? answerGrammar(rules, fields),
    badWords: badWordsOf(fields, rules.tokenizer),
  };
  return prompts.flatMap((prompt) =>
    seeds.map((seed) => answerRequest(rules, wishes, { prompt, seed, ...shared }))
  );
}

function answerRequest(
  { context, tokenizer, options }: ReadingRules,
  wishes: Wishes,
  { prompt, seed, stops, bias, grammar, badWords }: {
    readonly prompt: readonly number[];
    readonly seed: number;
    readonly stops: readonly string[];
    readonly bias: readonly (readonly [number, number])[];
    readonly grammar: Grammar | undefined;
    readonly badWords: readonly (readonly number[])[];
  },
): AnswerRequest {
  const { fields, logprobs, promptLogprobs } = wishes;
  const { count, field, usual = Infinity } = wishes.maxTokens;
  const { maxTokens: most = Infinity } = options;
  const room = Math.min(context - prompt.length, most);
  const fitting = Math.max(1, Math.min(room, usual));
  // More than fits is as much as fits, as clients expect; the answer says that it was cut by length.
  const maxTokens = count === undefined || count === null || (!options.strict && count > fitting)
    ? Math.max(fitting, Math.min(count ?? 0, room))
    : count;
  checkRows(prompt, tokenizer.usable);
  checkRoom(prompt.length, context, { maxTokens, field });
  if (maxTokens > most) {
    throw fieldError(
      `Cannot generate ${maxTokens} tokens: this server generates at most ${most}`,
      field,
    );
  }
  // Tokens that are no text never show, so a text that spells one means the token.
  const spelt = stops.map((text) => tokenizer.id(text))
    .filter((id) => id !== undefined && tokenizer.special(id)) as number[];
  // What a grammar holds ends where it is complete.
  const own = fields.ignore_eos && grammar === undefined ? [] : tokenizer.ends;
  const minTokens = fields.min_tokens ?? 0;
  if (minTokens > maxTokens) {
    throw fieldError(
      `Cannot generate at least ${minTokens} tokens: at most ${maxTokens} are asked for`,
      "min_tokens",
    );
  }
  return {
    generation: {
      prompt,
      maxTokens,
      stopTokens: [
        ...new Set([...own, ...fields.stop_token_ids ?? [], ...options.stopTokenIds, ...spelt]),
      ],
      sampling: {
        temperature: fields.temperature ?? options.temperature ?? 1,
        topK: Math.max(0, fields.top_k ?? options.topK ?? 0),
        // At 0 nothing would be left; the likeliest token always is.
        topP: Math.max(fields.top_p ?? options.topP ?? 1, 1e-9),
        minP: fields.min_p ?? options.minP ?? 0,
        presencePenalty: fields.presence_penalty ?? 0,
        frequencyPenalty: fields.frequency_penalty ?? 0,
        repetitionPenalty: fields.repetition_penalty ?? options.repetitionPenalty ?? 1,
        logitBias: bias,
        seed: ((seed % SEEDS) + SEEDS) % SEEDS,
      },
      ...minTokens > 0 && { minTokens },
      ...badWords.length > 0 && { badWords },
      ...grammar !== undefined && { grammar },
      ...logprobs !== undefined && { logprobs },
      ...promptLogprobs !== undefined && { promptLogprobs },
    },
    stops,
    keepStop: fields.include_stop_str_in_output ?? false,
    special: fields.skip_special_tokens === false,
  };
}

/** A tokenizer may have more tokens than the model: what they mean nobody knows. */
export function checkRows(prompt: readonly number[], rows: number, field = "prompt"): void {
  const token = prompt.find((id) => id >= rows);
  if (token === undefined) return;
  throw fieldError(
    `Cannot answer the prompt: its token ${token} has no row in the model's embedding table, ` +
      `expected ids below ${rows}`,
    field,
  );
}

/** Refuses a prompt that does not fit with so many tokens more. */
export function checkRoom(
  prompt: number,
  context: number,
  { maxTokens, field, prompt: where = "prompt" }: {
    readonly maxTokens: number;
    readonly field: string;
    /** The field that the prompt stands in. */
    readonly prompt?: string;
  },
): void {
  const room = context - prompt;
  if (maxTokens >= 0 && maxTokens <= room && (room > 0 || maxTokens === 0)) return;
  const alone = room <= 0;
  throw new ApiError(
    400,
    `Cannot answer a prompt of ${prompt} tokens${alone ? "" : ` with ${maxTokens} more`}: ` +
      `the context is ${context} tokens; shorten the prompt${alone ? "" : ` or lower ${field}`}`,
    { param: alone ? where : field, code: "context_length_exceeded" },
  );
}

/** Every token is compared with every text, so there is an end to them. */
function checkStops(stops: readonly string[]): void {
  const length = stops.reduce((sum, text) => sum + text.length, 0);
  if (stops.length <= 256 && length <= 1 << 16) return;
  throw fieldError(
    `Cannot stop at ${stops.length} texts of ${length} characters: ` +
      "expected at most 256 of 65536 in all",
    "stop",
  );
}

/** Tokens of texts that never come, by themselves and behind a space, as vLLM has it. */
function badWordsOf({ bad_words: words }: SamplingFields, tokenizer: ServedTokenizer): number[][] {
  const all = new Map<string, number[]>();
  for (const word of words ?? []) {
    for (const text of [word.trimStart(), ` ${word.trimStart()}`]) {
      const tokens = tokenizer.encode(text);
      if (tokens.length > 0) all.set(tokens.join(), tokens);
    }
  }
  return [...all.values()];
}

function readBias(
  bias: Readonly<Record<string, number>> | null | undefined,
  size: number,
): (readonly [number, number])[] {
  return Object.entries(bias ?? {}).map(([key, value]) => {
    // Number() would take "" for 0 and "0x1" for 1.
    const id = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : NaN;
    if (id < size) return [id, value] as const;
    throw fieldError(
      `Cannot read "logit_bias": "${key}" is no token, expected ids below ${size}`,
      "logit_bias",
    );
  });
}
