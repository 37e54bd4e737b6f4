import { unavailable } from "./api_error.ts";
import { checkModel } from "./request_limits.ts";
import type { ServeContext } from "./request_scope.ts";

/** Refuses requests for answers while none are taken. */
export function checkTaking({ engine, draining }: ServeContext): void {
  if (draining() || engine.state === "draining") {
    throw unavailable("Cannot take the request: the server stops");
  }
  if (engine.state === "loading") {
    throw unavailable("Cannot take the request: the model is loading");
  }
  if (engine.state === "failed") {
    throw unavailable("Cannot take the request: the engine has failed; start the server again");
  }
}

/** Whether the process does what it should: it works, or it finishes what it has. */
export function health(serving: ServeContext): object {
  const stopping = serving.draining() || serving.engine.state === "draining";
  if (!stopping) checkTaking(serving);
  return { status: stopping ? "draining" : "ok" };
}

/** Whether requests are taken now. */
export function ready(serving: ServeContext): object {
  checkTaking(serving);
  return { status: "ok" };
}

/** What a look at the server shows: the model, the engine, and whether it can chat. */
export function status({ card, engine, tokenizer, draining }: ServeContext): object {
  return {
    model: card,
    state: draining() ? "draining" : engine.state,
    context: engine.context,
    chat: tokenizer.chatTemplate !== undefined,
    engine: engine.stats(),
  };
}

/** What answers come from: versions of the program's parts and the weights. */
export function version({ card }: ServeContext): object {
  return { version: `quattuor/${card.digest.slice(0, 12)}`, deno: Deno.version.deno };
}

/** Lists the served model under all of its names, as OpenAI does, with what vLLM and llama.cpp add. */
export function listModels(serving: ServeContext): object {
  const names = [serving.card.name, ...serving.options.names];
  return { object: "list", data: names.map((name) => describe(serving, name)) };
}

/** Tells of one model by a name, which may have slashes in it. */
export function findModel(serving: ServeContext, name: string): object {
  checkModel(serving, name);
  return describe(serving, name);
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
