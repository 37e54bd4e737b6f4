/**
 * Answers completions by llama.cpp as OpenAI's API does, for `deno task bench clients`: prompts are
 * token ids, answers are streams of one token a piece, as long as asked for. For Node, with
 * node-llama-cpp somewhere:
 *
 * node tests/bench/llama_server.mjs MODEL.gguf --modules DIR [--gpu vulkan|false] [--sequences 16]
 * [--context 256] [--threads N] [--kv F16|Q4_0|Q8_0]
 *
 * Prints the address at which it listens, a line of JSON.
 */
import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals: [path] } = parseArgs({
  allowPositionals: true,
  options: {
    modules: { type: "string", default: "." },
    gpu: { type: "string", default: "false" },
    sequences: { type: "string", default: "16" },
    context: { type: "string", default: "256" },
    threads: { type: "string", default: String(availableParallelism()) },
    kv: { type: "string", default: "F16" },
  },
});
const [sequences, contextSize, threads] = ["sequences", "context", "threads"]
  .map((key) => Number(values[key]));

const entry = join(values.modules, "node_modules/node-llama-cpp/dist/index.js");
const { getLlama } = await import(pathToFileURL(entry).href);
const gpu = values.gpu === "false" ? false : values.gpu;
const llama = await getLlama({ gpu, build: "never", logLevel: "error", maxThreads: threads });
const model = await llama.loadModel({ modelPath: path, ...gpu && { gpuLayers: "max" } });
const context = await model.createContext({
  sequences,
  contextSize,
  batchSize: Math.max(512, sequences),
  threads: { ideal: threads, min: threads },
  experimentalKvCacheKeyType: values.kv,
  experimentalKvCacheValueType: values.kv,
});
const free = Array.from({ length: sequences }, () => context.getSequence());
/** Who waits for a sequence, in the order in which they came. */
const waiting = [];

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (!response.headersSent) response.writeHead(500);
    response.end(JSON.stringify({ error: { message: String(error) } }));
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const about = { url: `http://127.0.0.1:${port}`, gpu: llama.gpu, sequences, threads };
  process.stdout.write(`${JSON.stringify(about)}\n`);
});

async function answer(request, response) {
  if (request.method === "GET") {
    response.setHeader("content-type", "application/json");
    return response.end(JSON.stringify({ object: "list", data: [{ id: "llama.cpp" }] }));
  }
  let text = "";
  for await (const piece of request) text += piece;
  const { prompt, max_tokens: most, stream = false } = JSON.parse(text);
  response.setHeader("content-type", stream ? "text/event-stream" : "application/json");
  const send = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);
  const sequence = free.pop() ?? await new Promise((resolve) => waiting.push(resolve));
  let [count, said] = [0, ""];
  try {
    const options = { temperature: 0, yieldEogToken: true };
    for await (const token of sequence.evaluate(prompt, options)) {
      const text = model.detokenize([token]);
      said += text;
      count++;
      if (stream) send({ choices: [{ text, finish_reason: null }] });
      if (count === most || response.destroyed) break;
    }
  } finally {
    await sequence.clearHistory();
    const next = waiting.shift();
    if (next) next(sequence);
    else free.push(sequence);
  }
  const usage = { prompt_tokens: prompt.length, completion_tokens: count };
  if (!stream) {
    return response.end(
      JSON.stringify({ choices: [{ text: said, finish_reason: "length" }], usage }),
    );
  }
  send({ choices: [{ text: "", finish_reason: "length" }] });
  send({ choices: [], usage });
  response.end("data: [DONE]\n\n");
}
