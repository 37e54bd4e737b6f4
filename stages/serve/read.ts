import type { Asked } from "./asked.ts";
import { readChat } from "./chat_request.ts";
import { readEmbeddings } from "./embeddings_request.ts";
import { readMessageCount, readMessages } from "./forms/messages_request.ts";
import { readResponses } from "./forms/responses_request.ts";
import { readCompletion } from "./completion_request.ts";
import type { ReadingRules } from "./reading_rules.ts";
import { readDetokenize, readTokenize } from "./tokenizer_requests.ts";

/** What becomes of the body of each kind of request; bytes are the answer as it is sent. */
export interface Readings {
  readonly completions: Asked;
  readonly chat: Asked;
  readonly embeddings: Asked;
  readonly messages: Asked;
  readonly responses: Asked;
  readonly messageCount: Uint8Array<ArrayBuffer>;
  readonly tokenize: Uint8Array<ArrayBuffer>;
  readonly detokenize: Uint8Array<ArrayBuffer>;
}

/** A kind of request that has a body. */
export type ReadingKind = keyof Readings;

/** Reads bodies of requests, and throws an ApiError where they are refused. */
export interface RequestReaders extends Disposable {
  /** The bytes are the reader's from now on. */
  read<Kind extends ReadingKind>(
    kind: Kind,
    body: Uint8Array<ArrayBuffer>,
    signal?: AbortSignal,
  ): Promise<Readings[Kind]>;
}

/** How bodies are read, at once and however long that takes. */
export const READ: {
  readonly [Kind in ReadingKind]: (bytes: Uint8Array, rules: ReadingRules) => Readings[Kind];
} = {
  completions: readCompletion,
  chat: readChat,
  embeddings: readEmbeddings,
  messages: readMessages,
  responses: readResponses,
  messageCount: (bytes, rules) => written(readMessageCount(bytes, rules)),
  tokenize: (bytes, rules) => written(readTokenize(bytes, rules)),
  detokenize: (bytes, rules) => written(readDetokenize(bytes, rules)),
};

function written(answer: object): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(answer));
}
