import { unavailable } from "./api_error.ts";
import { checkModel } from "./request_limits.ts";
import type { ServeContext } from "./request_scope.ts";

/** Refuses requests for answers while none are taken. */
export function checkTaking({ models, draining }: ServeContext): void {
  // One that is taken up by nothing answers; a request for another is refused by its own engine.
  const engine = models.find(({ engine }) => engine.state === "ready")?.engine ??
    models[0]!.engine;
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

/** What a look at the server shows: its models, what their engines do, and whether they can chat. */
export function status(serving: ServeContext): object {
  const all = serving.models.map(({ card, engine, tokenizer, draining }) => ({
    model: card,
    state: draining() ? "draining" : engine.state,
    context: engine.context,
    chat: tokenizer.chatTemplate !== undefined,
    engine: engine.stats(),
  }));
  return { ...all[0], models: all };
}

/** What answers come from: versions of the program's parts and the weights. */
export function version({ card }: ServeContext): object {
  return { version: `quattuor/${card.digest.slice(0, 12)}`, deno: Deno.version.deno };
}

/** Lists the served models under all of their names, as OpenAI does, with what vLLM and llama.cpp add. */
export function listModels({ models }: ServeContext): object {
  const data = models.flatMap((serving) => namesOf(serving).map((name) => describe(serving, name)));
  return { object: "list", data };
}

/** Tells of one model by a name, which may have slashes in it. */
export function findModel(serving: ServeContext, name: string): object {
  const { models: [first, ...others] } = serving;
  const found = serving.models.find((each) => namesOf(each).includes(name));
  if (!found) checkModel({ ...first!, others: others.map(({ card }) => card.name) }, name);
  return describe(found ?? first!, name);
}

function namesOf({ card, options }: ServeContext): string[] {
  return [...new Set([card.name, ...options.names])];
}

function describe({ card, engine, tokenizer, created }: ServeContext, id: string): object {
  return {
    id,
    object: "model",
    created,
    owned_by: "quattuor",
    root: card.name,
    ...card.parent !== undefined && { parent: card.parent },
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
