import { ApiError, fieldError } from "./api_error.ts";
import type { ServeContext } from "./request_scope.ts";

/** Refuses a request for another model than the one that is served; none said is fine. */
export function checkModel(
  { card, options }: ServeContext,
  model: string | null | undefined,
): void {
  if (model === undefined || model === null) return;
  if (model === card.name || options.names.includes(model)) return;
  throw new ApiError(
    404,
    `Cannot find the model "${model}": this server has "${card.name}"`,
    { param: "model", code: "model_not_found" },
  );
}

/** Refuses more answers to a request than the server gives. */
export function checkChoices(
  { options }: ServeContext,
  { prompts, each }: { readonly prompts: number; readonly each: number },
): void {
  const choices = prompts * each;
  if (choices <= options.maxChoices) return;
  throw fieldError(
    `Cannot give ${choices} answers to one request: this server gives at most ` +
      `${options.maxChoices}; ask for some at a time`,
    each > 1 ? "n" : "prompt",
  );
}

/** Refuses more log-probabilities a token than the server gives. */
export function checkLogprobs(
  { options }: ServeContext,
  count: number | undefined,
  field: string,
): void {
  if (count === undefined || count <= options.maxLogprobs) return;
  throw fieldError(
    `Cannot score ${count} tokens: this server scores at most ${options.maxLogprobs} a token`,
    field,
  );
}
