import type { AnswerRequest } from "./answer.ts";
import { ApiError, fieldError } from "./api_error.ts";
import type { ReadingRules } from "./reading_rules.ts";

/** Refuses a request for another model than the one that is served; none said is fine. */
export function checkModel(
  { card, options, others = [] }: Pick<ReadingRules, "card" | "options" | "others">,
  model: string | null | undefined,
): void {
  if (model === undefined || model === null) return;
  if (model === card.name || options.names.includes(model)) return;
  throw new ApiError(
    404,
    `Cannot find the model "${model}": this server has ${
      [card.name, ...others].map((name) => `"${name}"`).join(", ")
    }`,
    { param: "model", code: "model_not_found" },
  );
}

/** Refuses more answers to a request than the server gives. */
export function checkChoices(
  { options }: Pick<ReadingRules, "options">,
  { prompts, each, field = "prompt" }: {
    readonly prompts: number;
    readonly each: number;
    readonly field?: string;
  },
): void {
  const choices = prompts * each;
  if (choices <= options.maxChoices) return;
  throw fieldError(
    `Cannot give ${choices} answers to one request: this server gives at most ` +
      `${options.maxChoices}; ask for some at a time`,
    each > 1 ? "n" : field,
  );
}

/** Refuses more log-probabilities a token than the server gives. */
export function checkLogprobs(
  { options }: Pick<ReadingRules, "options">,
  count: number | undefined,
  field: string,
): void {
  if (count === undefined || count <= options.maxLogprobs) return;
  throw fieldError(
    `Cannot score ${count} tokens: this server scores at most ${options.maxLogprobs} a token`,
    field,
  );
}

/** Likeliest tokens wanted at every place of the prompt; undefined where no scores are. */
export function promptScoresOf(
  rules: Pick<ReadingRules, "options">,
  { prompt_logprobs: count, stream }: {
    readonly prompt_logprobs?: number | null | undefined;
    readonly stream?: boolean | null | undefined;
  },
): number | undefined {
  if (count === undefined || count === null) return undefined;
  checkLogprobs(rules, count, "prompt_logprobs");
  if (!stream) return count;
  throw fieldError(
    'Cannot stream the scores of a prompt: expected "stream" left out',
    "prompt_logprobs",
  );
}

/** Refuses more log-probabilities in one answer than the server gives. */
export function checkScores(
  { options: { maxScores } }: Pick<ReadingRules, "options">,
  requests: readonly AnswerRequest[],
): void {
  let scores = 0;
  for (const { generation: { prompt, maxTokens, logprobs, promptLogprobs } } of requests) {
    if (logprobs !== undefined) scores += maxTokens * (1 + logprobs);
    if (promptLogprobs !== undefined) scores += prompt.length * (1 + promptLogprobs);
  }
  if (scores <= maxScores) return;
  throw fieldError(
    `Cannot score up to ${scores} tokens: this server scores at most ${maxScores} in an answer; ` +
      'ask for fewer at a time, or lower "max_tokens"',
    "logprobs",
  );
}
