import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomModel, writeRandomModel } from "../../stages/benchmark/random_model.ts";
import { SHAPES } from "../../stages/benchmark/shapes.ts";
import { gguf } from "../../stages/exchange/gguf/format.ts";
import { GGUF_FILE } from "../../stages/exchange/gguf/reading.ts";
import type { Provenance } from "../../stages/exchange/provenance.ts";
import { openSource } from "../../stages/exchange/subject.ts";
import { type Making, type Part, Skipped } from "./findings.ts";
import { type Rounds, type RoundSize, timeShape } from "./random_weights.ts";

const BENCH = fileURLToPath(new URL("../bench/llama.mjs", import.meta.url));
const EMBEDDED = new URL("../../configs/embedded/", import.meta.url);

/** Codes that Q4_1 holds as they are: the type of llama.cpp that is nearest to ours. */
const Q4_1 = {
  linears: { weights: { bits: 4, zero: "post_scale", group: 32, levels: 1 } },
} as const;

const PROVENANCE: Provenance = {
  version: 1,
  producer: "quattuor",
  format: "gguf",
  model: "none",
  scheme: "random weights",
  ignored: [],
  recipe: { digest: "none", stages: [] },
  scores: [],
  engines: [],
};

/** Where llama.cpp's binding for Node is, and how it is run. */
export interface LlamaOptions {
  /** The directory whose `node_modules` has it. */
  readonly modules: string;
  readonly software: boolean;
}

/** llama.cpp beside it, on the same shape and card, where somebody has installed its binding. */
export function llamaCpp(name: keyof typeof SHAPES, options: LlamaOptions): Part {
  return {
    title: `llama.cpp, ${name}, random weights, Q4_1`,
    async run(making) {
      await mustBeThere(options.modules);
      await timeShape({
        layers: SHAPES[name].num_hidden_layers as number,
        open: (count) => openLlama({ ...SHAPES[name], num_hidden_layers: count }, options, making),
      }, making);
    },
  };
}

async function mustBeThere(modules: string): Promise<void> {
  const entry = join(modules, "node_modules", "node-llama-cpp", "package.json");
  if (await Deno.stat(entry).then(() => false, () => true)) {
    throw new Skipped(
      `node-llama-cpp is not in ${modules}: npm install --prefix DIR node-llama-cpp, then --modules DIR`,
    );
  }
  const node = new Deno.Command("node", { args: ["--version"], stdout: "null", stderr: "null" });
  const ran = await node.output().catch(() => undefined);
  if (!ran?.success) throw new Skipped("there is no Node, which runs node-llama-cpp");
}

/** A GGUF file of random weights, which llama.cpp runs in a process a round. */
async function openLlama(
  json: Readonly<Record<string, unknown>>,
  { modules, software }: LlamaOptions,
  { signal, at }: Making,
): Promise<Rounds> {
  await using stack = new AsyncDisposableStack();
  const made = await Deno.makeTempDir();
  const remove = () => Deno.remove(made, { recursive: true });
  stack.defer(remove);
  const out = join(made, "gguf");
  await Deno.mkdir(out);
  await writeRandomModel(made, randomModel(json, Q4_1), { seed: 1, signal: signal() });
  // Any tokenizer: without one llama.cpp ends where a token is turned into text.
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(new URL(name, EMBEDDED), join(made, name));
  }
  {
    using source = await openSource(made);
    const { subject } = source;
    await gguf.write(source, {
      subject,
      out,
      options: { dtype: "float16", shardBytes: Infinity },
      provenance: PROVENANCE,
      signal: signal(),
      progress() {},
    });
  }
  const owned = stack.move();
  return {
    async run({ prompt, output, batch }: RoundSize) {
      at(`llama.cpp, ${json.num_hidden_layers} layers, a prompt of ${prompt}`);
      const sizes = { batch, prompt, output };
      const args = Object.entries(sizes).flatMap(([key, value]) => [`--${key}`, String(value)]);
      const gpu = Deno.build.os === "darwin" ? "metal" : "vulkan";
      const { success, stdout, stderr } = await new Deno.Command("node", {
        args: [
          BENCH,
          join(out, GGUF_FILE),
          ...["--modules", modules, "--gpu", gpu, "--rounds", "1", "--json"],
          ...args,
        ],
        // Its Vulkan build leaves drivers made of software out unless told.
        env: software ? { GGML_VK_VISIBLE_DEVICES: "0" } : {},
        signal: signal(),
      }).output();
      const [said, told] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      if (!success) {
        throw new Error(`llama.cpp could not run (${told!.trim().slice(-300)}), expected it to`);
      }
      const { results: [{ prefill, decode }] } = JSON.parse(said!);
      return { prefill: batch * prompt / prefill, step: batch / decode };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
