import { createHash } from "node:crypto";
import { z } from "zod";
import { deploymentOptions } from "./serve/options.ts";
import { snakeShape } from "./serve/snake_names.ts";
import { declareStage, withWork } from "./kinds.ts";

const count = z.int().positive();

const params = z.strictObject({
  ...snakeShape(deploymentOptions.shape),
  adapters: z.record(z.string().min(1), z.string().min(1)).default({}).describe(
    "Directories of LoRA adapters, as PEFT writes them, by the names under which requests ask for them.",
  ),
  prompts: z.array(z.string().min(1)).min(1).default(["Once upon a time"]).describe(
    "Texts that are answered, or gone on from where the model has no chat template; they are kept.",
  ),
  answer_tokens: count.default(60).describe("Most tokens of such an answer."),
  timed: z.strictObject({
    prompt: count.default(128).describe("Random tokens of each prompt."),
    output: z.int().min(2).default(32).describe("Tokens to generate."),
    sequences: count.default(1).describe("Sequences at once."),
  }).prefault({}).describe("What prefill and decode are timed with; less where it does not fit."),
});

const declaration = declareStage({
  about:
    "Says how a model is served, which `deno task serve` does: plans its memory, answers some prompts, times it.",
  version: 2,
  params,
  inputs: { model: "model", baseline: "model?", reports: "report[]?" },
  output: "deployment",
  example: { context: 64, prompts: ["A"], answer_tokens: 2, timed: { prompt: 4, output: 2 } },
  places: ["chat_template", "adapters"],
  // Texts and files decide, wherever they stand.
  fingerprint: async ({ chat_template: said, adapters }) => [
    said === undefined ? "the model's own" : await templateDigest(said),
    ...await Promise.all(
      Object.entries(adapters).map(async ([name, path]) => [name, await adapterDigest(path)]),
    ),
  ],
});

/** What `serve` declares, for its work. */
export type ServeDeclaration = typeof declaration;

/** Says how a model is served, and tries it. */
export const serve = withWork(
  declaration,
  async () => (await import("./work/serve.ts")).serveWork,
);

async function templateDigest(said: string): Promise<string> {
  const { chatTemplateText } = await import("./serve/chat_template_text.ts");
  return createHash("sha256").update(await chatTemplateText(said)).digest("hex");
}

async function adapterDigest(path: string): Promise<string> {
  const { peftDigest } = await import("./formats/peft.ts");
  return await peftDigest(path);
}
