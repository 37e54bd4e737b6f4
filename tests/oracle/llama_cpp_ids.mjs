/**
 * The ids that llama.cpp gives texts by the vocabularies of several GGUF files.
 *
 * Usage: node llama_cpp_ids.mjs < REQUEST.json > ANSWER.json, where node-llama-cpp is installed in the working
 * directory (npm install node-llama-cpp; written for 3.22.1). A request is {"models": [path, ...], "texts":
 * [text, ...]}, the answer [[[id, ...], ...] or null where it cannot read a vocabulary, ...].
 */
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const library = join(process.cwd(), "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(library).href);

const { models, texts } = JSON.parse(await text(process.stdin));
const llama = await getLlama({ gpu: false, logLevel: LlamaLogLevel.error, build: "never" });
const found = [];
for (const modelPath of models) {
  try {
    const model = await llama.loadModel({ modelPath, gpuLayers: 0, vocabOnly: true });
    found.push(texts.map((each) => model.tokenize(each, true)));
    await model.dispose();
  } catch {
    found.push(null);
  }
}
process.stdout.write(JSON.stringify(found));
await llama.dispose();
