import type { Context } from "hono";
import { answers, countUsage } from "./answers.ts";
import { receive } from "./receive.ts";
import type { ServeEnv } from "./request_log.ts";
import { openScope, type ServeContext, servingFor } from "./request_scope.ts";

/** Answers `POST /v1/embeddings`: a vector of length 1 for each text. */
export async function embeddings(
  server: ServeContext,
  { req: { raw }, get, json }: Context<ServeEnv>,
): Promise<Response> {
  using scope = openScope(server, raw);
  const body = await receive(raw, server);
  const asked = await server.readers.read("embeddings", body, scope.signal);
  const serving = servingFor(server, asked);
  const counted = countUsage(asked.requests, 1);
  const vectors: (Float32Array | undefined)[] = asked.requests.map(() => undefined);
  for await (const event of answers(serving, asked.requests, scope)) {
    counted.see(event);
    if (event.value.type === "prompt") vectors[event.source] = event.value.embedding;
  }
  const { prompt_tokens, total_tokens } = counted.usage();
  Object.assign(get("entry"), { promptTokens: prompt_tokens, answerTokens: 0 });
  const spelt = asked.echoed!["encoding_format"] === "base64"
    ? base64
    : (all: Float32Array) => [...all];
  return json({
    object: "list",
    model: serving.card.name,
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: spelt(vector!),
    })),
    usage: { prompt_tokens, total_tokens },
  });
}

/** Single precision, the lowest byte first, as OpenAI's clients read it. */
function base64(vector: Float32Array): string {
  const view = new DataView(new ArrayBuffer(4 * vector.length));
  vector.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return new Uint8Array(view.buffer).toBase64();
}
