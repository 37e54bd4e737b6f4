import type { Context } from "hono";
import type { z } from "zod";
import {
  chatAnswer,
  completionAnswer,
  detokenizeAnswer,
  embeddingsAnswer,
  healthAnswer,
  messageAnswer,
  messageCountAnswer,
  modelAnswer,
  modelsAnswer,
  responseAnswer,
  statusAnswer,
  tokenizeAnswer,
  tokenizerAnswer,
  versionAnswer,
} from "./answer_schemas.ts";
import { chat } from "./chat.ts";
import { chatFields } from "./chat_fields.ts";
import { completionFields } from "./completion_request.ts";
import { completions } from "./completions.ts";
import { embeddings } from "./embeddings.ts";
import { embeddingsFields } from "./embeddings_request.ts";
import { messages } from "./forms/messages.ts";
import { countFields, messagesFields } from "./forms/messages_request.ts";
import { responses } from "./forms/responses.ts";
import { responsesFields } from "./forms/responses_request.ts";
import { checkTaking, findModel, health, listModels, ready, status, version } from "./models.ts";
import { page, pageFile, PAGES } from "./page.ts";
import { receive } from "./receive.ts";
import type { ServeEnv } from "./request_log.ts";
import { openScope, type ServeContext } from "./request_scope.ts";
import { detokenizeFields, tokenizeFields } from "./tokenizer_requests.ts";

/** Something a server answers. */
export interface Route {
  readonly method: "GET" | "POST";
  /** With `{id}` for a part that may be anything. */
  readonly path: string;
  readonly about: string;
  /** What its body is, where it has one. */
  readonly fields?: z.ZodObject;
  /** What it answers with status 200, where that is JSON; and whether that may be a stream. */
  readonly gives?: z.ZodType;
  readonly streams?: true;
  /** Whether everybody may ask; else whoever has the key. */
  readonly access: "public" | "key";
  readonly answer: (
    serving: ServeContext,
    context: Context<ServeEnv>,
  ) => Response | Promise<Response>;
}

/** The route that answers a path. */
export function routeOf(path: string): Route | undefined {
  return ROUTES.find((route) => route.path === path) ??
    ROUTES.find(({ path: own }) => {
      const begins = own.replace(/\{id\}$/, "");
      return begins !== own && path.startsWith(begins) && path.length > begins.length;
    });
}

/** Everything a server answers, but for its own description. */
export const ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/completions",
    about: "Goes on with a text",
    fields: completionFields,
    gives: completionAnswer,
    streams: true,
    access: "key",
    answer: taking(completions),
  },
  {
    method: "POST",
    path: "/v1/chat/completions",
    about: "Answers a conversation",
    fields: chatFields,
    gives: chatAnswer,
    streams: true,
    access: "key",
    answer: taking(chat),
  },
  {
    method: "POST",
    path: "/v1/embeddings",
    about: "Makes a vector of each text",
    fields: embeddingsFields,
    gives: embeddingsAnswer,
    access: "key",
    answer: taking(embeddings),
  },
  {
    method: "POST",
    path: "/v1/responses",
    about: "Answers a conversation, as OpenAI's newer API has it; keeps nothing",
    fields: responsesFields,
    gives: responseAnswer,
    streams: true,
    access: "key",
    answer: taking(responses),
  },
  {
    method: "POST",
    path: "/v1/messages",
    about: "Answers a conversation, as Anthropic's API has it",
    fields: messagesFields,
    gives: messageAnswer,
    streams: true,
    access: "key",
    answer: taking(messages),
  },
  read("/v1/messages/count_tokens", {
    about: "Counts the tokens of a conversation, as Anthropic's API has it",
    fields: countFields,
    gives: messageCountAnswer,
    kind: "messageCount",
  }),
  get("/v1/models", "Lists the model", { tell: listModels, gives: modelsAnswer }),
  {
    method: "GET",
    path: "/v1/models/{id}",
    about: "Tells of the model by its name",
    gives: modelAnswer,
    access: "key",
    answer: (serving, context) => {
      const name = context.req.path.slice("/v1/models/".length).replace(/\/$/, "");
      return context.json(findModel(serving, decoded(name)));
    },
  },
  read("/tokenize", {
    about: "Cuts a text into tokens",
    fields: tokenizeFields,
    gives: tokenizeAnswer,
    kind: "tokenize",
  }),
  read("/detokenize", {
    about: "Puts tokens together",
    fields: detokenizeFields,
    gives: detokenizeAnswer,
    kind: "detokenize",
  }),
  get("/tokenizer_info", "Tells of the tokenizer", {
    tell: ({ tokenizer }) => tokenizer.info,
    gives: tokenizerAnswer,
  }),
  get("/health", "Whether the server works", {
    tell: health,
    gives: healthAnswer,
    access: "public",
  }),
  get("/v1/health", "Whether the server works", {
    tell: health,
    gives: healthAnswer,
    access: "public",
  }),
  get("/ready", "Whether requests for answers are taken now", {
    tell: ready,
    gives: healthAnswer,
    access: "public",
  }),
  get("/version", "Tells of program and weights", { tell: version, gives: versionAnswer }),
  get("/status", "Tells of the model and what the engine does", {
    tell: status,
    gives: statusAnswer,
  }),
  {
    method: "GET",
    path: "/metrics",
    about: "Figures for Prometheus",
    access: "key",
    answer: async ({ metrics }) =>
      new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } }),
  },
  ...[...PAGES.keys()].map((path): Route => ({
    method: "GET",
    path,
    about: path === "/docs" ? "The page about what there is" : "The page to chat with the model",
    access: "public",
    answer: () => page(path),
  })),
  {
    method: "GET",
    path: "/page/{id}",
    about: "What the pages load",
    access: "public",
    answer: (_, { req: { path } }) => pageFile(path.slice("/page/".length).replace(/\/$/, "")),
  },
];

function get(
  path: string,
  about: string,
  { tell, gives, access = "key" }: {
    readonly tell: (serving: ServeContext) => object;
    readonly gives: z.ZodType;
    readonly access?: Route["access"];
  },
): Route {
  return {
    method: "GET",
    path,
    about,
    gives,
    access,
    answer: (serving, c) => c.json(tell(serving)),
  };
}

/** A route whose answer is what a reader makes of its request. */
function read(
  path: string,
  { about, fields, gives, kind }: {
    readonly about: string;
    readonly fields: z.ZodObject;
    readonly gives: z.ZodType;
    readonly kind: "tokenize" | "detokenize" | "messageCount";
  },
): Route {
  return {
    method: "POST",
    path,
    about,
    fields,
    gives,
    access: "key",
    async answer(serving, { req: { raw } }) {
      using scope = openScope(serving, raw);
      const body = await receive(raw, serving);
      const answer = await serving.readers.read(kind, body, scope.signal);
      return new Response(answer, { headers: { "content-type": "application/json" } });
    },
  };
}

/** Answers only while requests are taken. */
function taking(answer: Route["answer"]): Route["answer"] {
  return (serving, context) => {
    checkTaking(serving);
    return answer(serving, context);
  };
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
