/**
 * Times what guessing answers ahead (prompt lookup) gives: whole answers of two engines on one device
 * in turns, one of which guesses, to a prompt that repeats itself, greedily, and to one that does not,
 * at temperature 1.
 *
 * `deno task bench speculation [--batch 1,2] [--output 96] [--rounds 10] [model ...]`; a model is a
 * directory, without any it is the embedded one in W4A8KV4.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { openTunedDevice } from "../../kernels/tuned_device.ts";
import { GREEDY } from "../../stages/engine/engine.ts";
import { EngineLoop } from "../../stages/engine/engine_loop.ts";
import { EngineMemory } from "../../stages/engine/engine_memory.ts";
import { planMemory } from "../../stages/engine/engine_sizes.ts";
import { Model } from "../../stages/models/model.ts";
import { servedTokenizerOf } from "../../stages/serve/model_tokenizer.ts";
import { StageChain } from "../support/stage_chain.ts";
import { embedded } from "./engine.ts";

const SENTENCES =
  "Once there was a small red fox who lived near the old mill by the river. Every morning the fox " +
  "walked to the market, sold four baskets of berries, and came home before noon. ";

/** Measures what the arguments say and prints a line for each. */
export async function benchSpeculation(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      batch: { type: "string", default: "1,2" },
      output: { type: "string", default: "96" },
      rounds: { type: "string", default: "10" },
    },
  });
  await using chain = await StageChain.open();
  const models = positionals.length > 0
    ? positionals.map((path) => [path, path] as const)
    : (await embedded(chain)).slice(-1);
  const [rounds, output] = [Number(values.rounds), Number(values.output)];
  await using device = await openTunedDevice(Deno.env.get("QUATTUOR_DEVICE"));
  const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  say(`${device.name}; ms a token, the least of ${rounds} answers of ${output} tokens`);
  for (const [name, path] of models) {
    using model = await Model.open(path, device, { weightBytes: Infinity });
    const { encode } = await servedTokenizerOf(path);
    const memory = new EngineMemory(device.limits, model);
    for (const batch of values.batch.split(",").map(Number)) {
      const prompts = {
        "repeating, greedy": { text: SENTENCES.repeat(4), temperature: 0 },
        "free, drawn": { text: SENTENCES, temperature: 1 },
      };
      for (const [kind, { text, temperature }] of Object.entries(prompts)) {
        const tokens = encode(text);
        const context = tokens.length + output + 3;
        using stack = new DisposableStack();
        const loops = [];
        for (const speculate of [undefined, "ngram"] as const) {
          const wishes = { context, sequences: batch, speculate };
          const { sizes } = await planMemory(memory, { memoryBytes: 2 ** 33, wishes });
          loops.push({
            loop: stack.use(new EngineLoop(device, model, sizes)),
            times: [] as number[],
          });
        }
        for (let round = -1; round < rounds; round++) {
          for (const { loop, times } of loops) {
            for (let id = 0; id < batch; id++) {
              const sampling = { ...GREEDY, temperature, seed: 1000 * id + Math.max(0, round) };
              loop.add(id, { prompt: tokens, maxTokens: output, sampling, stopTokens: [] });
            }
            let begun = 0;
            while (begun < batch) {
              for (const [, { type }] of await loop.step()) if (type === "token") begun++;
            }
            const start = performance.now();
            while (!loop.idle) await loop.step();
            if (round >= 0) times.push((performance.now() - start) / (output - 1));
          }
        }
        const [plain, guessed] = loops.map(({ times }) => Math.min(...times)) as [number, number];
        const { drafts, draftTokens, acceptedTokens } = loops[1]!.loop.stats.speculation;
        say(
          `${name} batch ${batch}, ${kind}: ${plain.toFixed(3)} ms, guessed ${
            guessed.toFixed(3)
          } ms, ` +
            `${(plain / guessed).toFixed(2)} times as fast; ${drafts} drafts, ` +
            `${acceptedTokens} of ${draftTokens} tokens right`,
        );
      }
    }
  }
}
