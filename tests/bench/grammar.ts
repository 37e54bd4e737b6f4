/**
 * Times what answers held to a grammar, and penalties, cost beside plain ones: decode steps of three
 * engines on one device in turns, so that whatever else the machine does meets all of them.
 *
 * `deno task bench grammar [--batch 1,4,16] [--rounds 40] [--steps 8] [model ...]`; a model is a
 * directory, without any it is the embedded one in W4A8KV4.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { openTunedDevice } from "../../kernels/tuned_device.ts";
import { type GenerationRequest, GREEDY } from "../../stages/engine/engine.ts";
import { EngineLoop } from "../../stages/engine/engine_loop.ts";
import { EngineMemory } from "../../stages/engine/engine_memory.ts";
import { planMemory } from "../../stages/engine/engine_sizes.ts";
import { GrammarThread } from "../../stages/engine/grammar_thread.ts";
import { Model } from "../../stages/models/model.ts";
import { servedTokenizerOf } from "../../stages/serve/model_tokenizer.ts";
import { schemaGrammar } from "../../stages/serve/structured/schema.ts";
import { vocabularyOf } from "../../stages/serve/structured/vocabulary.ts";
import { StageChain } from "../support/stage_chain.ts";
import { embedded } from "./engine.ts";
import { median } from "./median.ts";

/** Long enough that no answer ends while it is measured. */
const SCHEMA = {
  type: "array",
  minItems: 200,
  items: {
    type: "object",
    properties: {
      name: { type: "string", maxLength: 20 },
      age: { type: "integer", minimum: 0, maximum: 150 },
      tags: { type: "array", items: { enum: ["red", "green", "blue"] }, maxItems: 4 },
    },
    required: ["name", "age", "tags"],
  },
};

const PROMPT = 64;

/** Measures what the arguments say and prints a table. */
export async function benchGrammar(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      batch: { type: "string", default: "1,4,16" },
      rounds: { type: "string", default: "40" },
      steps: { type: "string", default: "8" },
    },
  });
  await using chain = await StageChain.open();
  const models = positionals.length > 0
    ? positionals.map((path) => [path, path] as const)
    : (await embedded(chain)).slice(-1);
  const [rounds, steps] = [Number(values.rounds), Number(values.steps)];
  await using device = await openTunedDevice(Deno.env.get("QUATTUOR_DEVICE"));
  const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  say(`${device.name}; ms a step, the least of ${rounds} turns of ${steps} steps`);
  for (const [name, path] of models) {
    using model = await Model.open(path, device, { weightBytes: Infinity });
    const tokenizer = await servedTokenizerOf(path);
    using grammars = new GrammarThread(vocabularyOf(tokenizer), { seconds: 60 });
    const memory = new EngineMemory(device.limits, model);
    for (const batch of values.batch.split(",").map(Number)) {
      const output = (rounds + 3) * (steps + 1);
      const wishes = { context: PROMPT + output + 2, sequences: batch };
      const { sizes } = await planMemory(memory, { memoryBytes: 2 ** 33, wishes });
      const grammar = schemaGrammar(SCHEMA, "schema");
      const drawn = { ...GREEDY, temperature: 1 };
      const kinds: readonly (readonly [string, Partial<GenerationRequest>])[] = [
        ["plain", { sampling: drawn }],
        ["grammar", { sampling: drawn, grammar }],
        ["penalties", { sampling: { ...drawn, repetitionPenalty: 1.1, presencePenalty: 0.1 } }],
      ];
      using stack = new DisposableStack();
      const loops = [];
      for (const [kind, more] of kinds) {
        const loop = stack.use(new EngineLoop(device, model, sizes, { grammars }));
        for (let id = 0; id < batch; id++) {
          const prompt = Array.from(
            { length: PROMPT },
            (_, i) => (i * i * 7 + (i + 31 * id) * 13) % Math.min(1000, model.config.vocabulary),
          );
          const sampling = { ...more.sampling!, seed: id };
          loop.add(id, { prompt, maxTokens: output, stopTokens: [], ...more, sampling });
        }
        loops.push({ kind, loop, times: [] as number[] });
      }
      for (let round = -2; round < rounds; round++) {
        for (const { kind, loop, times } of loops) {
          // The first step of a turn begins behind another engine's.
          await tokensOf(loop, batch);
          const start = performance.now();
          for (let step = 0; step < steps; step++) await tokensOf(loop, batch);
          if (round >= 0) times.push((performance.now() - start) / steps);
          else if (loop.idle) throw new Error(`Cannot time ${kind}: its answers have ended`);
        }
      }
      const [plain] = loops as [typeof loops[0]];
      for (const { kind, times } of loops) {
        // Those of one turn met the same machine.
        const ratios = times.map((ms, round) => ms / plain.times[round]!);
        const [least, middle] = [Math.min(...times), median(times)];
        say(
          `${name} batch ${batch}: ${kind} ${least.toFixed(3)} ms, median ${middle.toFixed(3)}; ` +
            `of plain ${(least / Math.min(...plain.times)).toFixed(3)}, ` +
            `median of turns ${median(ratios).toFixed(3)}`,
        );
      }
    }
  }
}

/** Runs steps until every sequence has one more token. */
async function tokensOf(loop: EngineLoop, batch: number): Promise<void> {
  for (let made = 0; made < batch;) {
    for (const [, { type }] of await loop.step()) if (type === "token") made++;
  }
  for (const [, error] of loop.refused()) throw error;
}
