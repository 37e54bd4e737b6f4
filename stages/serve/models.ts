import { ApiError } from "./api_error.ts";
import type { ServeContext } from "./serve_context.ts";

/** Lists the served model under all of its names, as OpenAI does, with what vLLM and llama.cpp add. */
export function listModels(serving: ServeContext): object {
  const names = [serving.card.name, ...serving.options.names];
  return { object: "list", data: names.map((name) => describe(serving, name)) };
}

/** Tells of one model by a name, which may have slashes in it. */
export function findModel(serving: ServeContext, name: string): object {
  if (name === serving.card.name || serving.options.names.includes(name)) {
    return describe(serving, name);
  }
  throw new ApiError(
    404,
    `Cannot find the model "${name}": this server has "${serving.card.name}"`,
    { param: "model", code: "model_not_found" },
  );
}

function describe({ card, engine, tokenizer, created }: ServeContext, id: string): object {
  return {
    id,
    object: "model",
    created,
    owned_by: "quattuor",
    root: card.name,
    max_model_len: engine.context,
    meta: {
      n_vocab: tokenizer.size,
      n_ctx_train: card.trainedContext ?? null,
      n_params: card.parameters ?? null,
      size: card.bytes ?? null,
      scheme: card.scheme,
    },
  };
}
