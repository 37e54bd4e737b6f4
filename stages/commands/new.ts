import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { defineCommand, replaceFile, tellingErrors, UsageError } from "../../pipeline/cli/mod.ts";
import { openImport } from "../exchange/incoming/open_import.ts";
import { namesModel } from "./model_names.ts";

/** A recipe that a manifest can begin from. */
interface Recipe {
  readonly file: string;
  readonly about: string;
  /** The step that makes the quantized model, and the one that scores it. */
  readonly model: string;
  readonly scored: string;
  /** Most that its perplexity may be of half precision's: a mark to begin with. */
  readonly most: number;
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  qoq: {
    file: "qoq.yaml",
    about: "QoQ: 4-bit weights, 8-bit activations, 4-bit KV cache",
    model: "w4a8kv4",
    scored: "qoq",
    most: 1.3,
  },
  awq: {
    file: "awq.yaml",
    about: "AWQ: 4-bit weights, for most engines",
    model: "w4a16",
    scored: "awq",
    most: 1.2,
  },
  gptq: {
    file: "gptq.yaml",
    about: "GPTQ: 4-bit weights, for most engines",
    model: "w4a16",
    scored: "gptq",
    most: 1.2,
  },
  smoothquant: {
    file: "smoothquant-dynamic.yaml",
    about: "SmoothQuant: 8-bit weights, activations and KV cache, for little loss",
    model: "w8a8kv8",
    scored: "smoothquant",
    most: 1.05,
  },
};

/** Writes a manifest for a model, with comments. */
export const newManifest = defineCommand({
  words: [["<model>", "a checkpoint, or org/name on the hub"]],
  options: (command) =>
    void command
      .option("--recipe <name>", `${Object.keys(RECIPES).join(", ")} (qoq)`)
      .option("--out <file>", "write it to a file"),
  run: tellingErrors(async ({ screen, flags, words: [model = ""], own }) => {
    const { recipe: name = "qoq", out } = own as {
      readonly recipe?: string;
      readonly out?: string;
    };
    const recipe = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
    if (!recipe) {
      const known = Object.keys(RECIPES).join(", ");
      throw new UsageError(`Cannot begin from recipe "${name}": expected one of ${known}`);
    }
    await checkModel(model);
    const text = manifestFor(model, { recipe, folder: out ? resolve(out, "..") : Deno.cwd() });
    if (out !== undefined) {
      await refuseTaken(out);
      await replaceFile(out, text);
    }
    if (flags.json) {
      const told = out === undefined ? { text } : { path: out };
      screen.write(`${JSON.stringify({ type: "new", ...told })}\n`);
    } else if (out === undefined) screen.write(text);
    else screen.write(`Written to ${out}; what it would do: deno task plan ${out}\n`);
    return 0;
  }),
});

/** Throws in a sentence where a model that is here cannot be read; the hub is not asked. */
async function checkModel(model: string): Promise<void> {
  if (await namesModel(model)) return;
  using _incoming = await openImport(model, {});
}

/** Throws where a file is there: what somebody has written is not written over. */
async function refuseTaken(path: string): Promise<void> {
  const there = await Deno.stat(path).then(() => true, () => false);
  if (there) {
    throw new Error(`Cannot write a manifest to ${path}: there is one, expected a new name`);
  }
}

function manifestFor(
  model: string,
  { recipe, folder }: { readonly recipe: Recipe; readonly folder: string },
): string {
  const configs = fileURLToPath(new URL("../../configs", import.meta.url));
  const at = (file: string) => relative(folder, `${configs}/${file}`).replaceAll("\\", "/");
  const [text, calibration, context] = model === "embedded"
    ? ["stories:test", "stories:calibration", 512]
    : ["wikitext2", "pile", 2048];
  return `# yaml-language-server: $schema=${at("schema.json")}
# ${recipe.about}.
# deno task plan says what this would do, deno task stages NAME what a stage may be told.
extends: ${JSON.stringify(at(recipe.file))}
params:
  model: ${JSON.stringify(model)}
  # What is scored: a file of text, wikitext2, c4, or stories:test of the built-in generator.
  text: ${text}
  # What it calibrates on, never what is scored: a file, pile, or what c4 and wikitext2 train on.
  calibration: ${calibration}
  # Samples to calibrate on, and tokens of each: more take longer and help a little.
  samples: 128
  sample_tokens: 512
  # Tokens of a window that is scored, and how many: all for figures to publish.
  context: ${context}
  windows: 8
# A run that is worse fails, with the numbers; what it made is kept.
expect:
  ${recipe.scored}.perplexity_ratio: "<= ${recipe.most}"
# To write it for another program; docs/formats.md has the formats:
# steps:
#   shipped: { stage: export, from: { model: ${recipe.model} }, with: { format: huggingface } }
`;
}
