/**
 * What llama.cpp makes of a GGUF file, on the CPU: ids of texts, greedy continuations, log-likelihoods.
 *
 * Usage: node llama_cpp.mjs MODEL.gguf < REQUEST.json > ANSWER.json, where node-llama-cpp is installed in the
 * working directory (npm install node-llama-cpp; written for 3.22.1). A request is {"texts": [text, ...],
 * "prompts": [[id, ...], ...], "count": tokens of each continuation, "windows": [[id, ...], ...]}, the answer
 * {"ids": [[id, ...], ...], "continuations": [[id, ...], ...], "margins": [[difference of the two best logarithms of
 * probability, ...], ...], "logLikelihoods": [[of every id of a window but the first, ...], ...], "facts": {...}}.
 * Special tokens in texts are parsed, none are added. A vocabulary of 49,152 takes 0.1 s for every id of a window.
 */
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const library = join(process.cwd(), "node_modules/node-llama-cpp/dist/index.js");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(library).href);

const { texts = [], prompts = [], windows = [], count = 16 } = JSON.parse(
  await text(process.stdin),
);
const llama = await getLlama({ gpu: false, logLevel: LlamaLogLevel.error, build: "never" });
const model = await llama.loadModel({ modelPath: process.argv[2], gpuLayers: 0 });
const longest = Math.max(0, ...[...prompts, ...windows].map((ids) => ids.length));
const context = await model.createContext({
  contextSize: longest + count + 8,
  sequences: 1,
  threads: 2,
  flashAttention: false,
});
const sequence = context.getSequence();
const continuations = [];
const margins = [];
for (const prompt of prompts) {
  await sequence.clearHistory();
  const tokens = [];
  const gaps = [];
  let input = prompt;
  while (tokens.length < count) {
    const options = {
      generateNext: { token: true, probabilities: true, options: { temperature: 0 } },
    };
    const results = await sequence.controlledEvaluate(
      input.map((token, at) => at === input.length - 1 ? [token, options] : token),
    );
    const { token, probabilities } = results.at(-1).next;
    const [first, second] = [...probabilities.values()].slice(0, 2);
    tokens.push(token);
    gaps.push(Math.log(first / second));
    input = [token];
  }
  continuations.push(tokens);
  margins.push(gaps);
}
const whole = { temperature: 1, topK: 0, topP: 1, minP: 0 };
const logLikelihoods = [];
for (const window of windows) {
  await sequence.clearHistory();
  const found = [];
  // In pieces, for each position answers with the whole vocabulary.
  for (let start = 0; start < window.length; start += 64) {
    const piece = window.slice(start, start + 64);
    const results = await sequence.controlledEvaluate(
      piece.map((token) => [token, { generateNext: { probabilities: true, options: whole } }]),
    );
    for (const [at, { next }] of results.entries()) {
      const id = window[start + at + 1];
      if (id !== undefined) found.push(Math.log(next.probabilities.get(id)));
    }
  }
  logLikelihoods.push(found);
}
const facts = {
  type: model.typeDescription,
  size: model.size,
  tensors: model.fileInfo?.tensorInfo?.length,
  trainContext: model.trainContextSize,
  bos: model.tokens.bos,
  eos: model.tokens.eos,
};
process.stdout.write(
  JSON.stringify({
    ids: texts.map((each) => model.tokenize(each, true)),
    continuations,
    margins,
    logLikelihoods,
    facts,
  }),
);
await llama.dispose();
