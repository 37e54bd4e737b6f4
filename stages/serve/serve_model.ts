import { fileURLToPath } from "node:url";
import type { ServeCall, ServedArtifact, Serving } from "../../pipeline/serving.ts";
import { memoryWords } from "../engine/engine_sizes.ts";
import { WorkerEngine } from "../engine/worker_engine.ts";
import { openCheckpoint } from "../formats/checkpoint.ts";
import { architectureOf } from "../models/architecture.ts";
import { describeModel } from "../models/model_facts.ts";
import { readEvaluation } from "../report/evaluation.ts";
import type { ModelCard } from "./model_card.ts";
import { openServedTokenizer } from "./served_tokenizer.ts";
import { memoryFor } from "../tools.ts";

const config = (name: string) => fileURLToPath(new URL(`../../configs/${name}`, import.meta.url));

/** How this program serves models: QoQ's of the embedded one unless said. */
export const serving: Serving = {
  manifest: config("qoq.yaml"),
  source: { manifest: config("load.yaml"), param: "model" },
  kind: "model",
  serve: serveModel,
};

/** Serves a model artifact over HTTP until the signal aborts; gives the exit status. */
async function serveModel(artifact: ServedArtifact, call: ServeCall): Promise<number> {
  const { options, screen, json, signal, memory } = call;
  // The server's packages are for this command alone.
  const { startServer } = await import("./server.ts");
  const { openLog } = await import("./request_log.ts");
  await using _log = await openLog((line) => screen.error(line));
  const tell = (type: string, text: string, facts: object) =>
    screen.write(json ? `${JSON.stringify({ type, ...facts })}\n` : `${text}\n`);
  const tokenizer = await readTokenizer(artifact.path);
  await using engine = new WorkerEngine({
    path: artifact.path,
    memoryBytes: memoryFor(memory === undefined ? {} : { memory }),
    wishes: wishesOf(options),
  }, {
    ready: (plan, device) => tell("engine", `${device}: ${memoryWords(plan)}`, { ...plan, device }),
    failed: (message, again) =>
      screen.error(`The engine was lost: ${message}${again ? "; it is started anew" : ""}\n`),
  });
  const server = await startServer({
    engine,
    tokenizer,
    card: await cardOf(artifact),
    options: serverOptions(options),
    signal,
  });
  tell("serving", `Serving ${artifact.name} at ${server.url}/v1, page at ${server.url}/`, {
    url: server.url,
    model: artifact.name,
    digest: artifact.digest,
  });
  try {
    await engine.started;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  await server.finished;
  return 0;
}

async function readTokenizer(path: string) {
  using checkpoint = await openCheckpoint(path);
  const { tokenizer, files } = checkpoint;
  if (tokenizer) return openServedTokenizer(tokenizer, files);
  throw new TypeError(
    `Cannot serve "${path}": it has no tokenizer, expected tokenizer.json; load it from a checkpoint that has one`,
  );
}

function wishesOf(options: ServeCall["options"]) {
  const number = (key: string) => options[key] as number | undefined;
  return {
    context: number("context"),
    sequences: number("sequences"),
    stepTokens: number("stepTokens"),
    queueRequests: number("queue"),
    queueTokens: number("queueTokens"),
  };
}

/** Options under the names the server has for them; those of the engine are left out. */
function serverOptions(options: ServeCall["options"]): Record<string, unknown> {
  const renamed: Readonly<Record<string, string>> = {
    name: "names",
    origin: "origins",
    serverName: "hosts",
  };
  const same = ["host", "port", "apiKey", "maxTokens", "maxBody", "timeout", "drain", "strict"];
  const named = [...same.map((key) => [key, key] as const), ...Object.entries(renamed)];
  return Object.fromEntries(
    named.flatMap(([key, to]) => options[key] === undefined ? [] : [[to, options[key]]]),
  );
}

async function cardOf({ path, digest, name, made }: ServedArtifact): Promise<ModelCard> {
  const facts = await describeModel(path);
  using checkpoint = await openCheckpoint(path);
  const { positions } = architectureOf(checkpoint.config).config;
  const evaluations = await Promise.all(
    made.filter(({ stage }) => stage === "evaluate")
      .map(({ path }) => readEvaluation(path).catch(() => undefined)),
  );
  const found = evaluations.find((evaluation) => evaluation?.model.digest === digest);
  return {
    name,
    digest,
    scheme: facts.scheme,
    bitsPerWeight: facts.bitsPerWeight,
    parameters: facts.parameters,
    bytes: facts.bytes,
    trainedContext: positions,
    ...found && {
      quality: {
        perplexity: found.scores.perplexity,
        ...found.scores.perplexity_ratio !== undefined && {
          baseline: found.scores.perplexity / found.scores.perplexity_ratio,
        },
        protocol: `${found.protocol.windows} windows of ${found.protocol.context} tokens`,
      },
    },
  };
}
