import { basename } from "node:path";
import { z } from "zod";
import { type ImportOptions, importOptions } from "./exchange/incoming/import.ts";
import { importSources } from "./exchange/incoming/sources.ts";
import { resolveModel } from "./formats/hub/hub.ts";
import { checkpointPlace } from "./models/checkpoint_place.ts";
import { declareStage, withWork } from "./kinds.ts";

const params = z.strictObject({
  model: z.string().default("embedded").describe(
    "A Hugging Face directory, an artifact or an export of ours, a .gguf file, org/name or hf:org/name@revision on the hub, or embedded for the model that ships with the program.",
  ),
  dtype: z.enum(["float16", "float32"]).default("float16").describe(
    "Element type of the matrices; vectors stay in single precision.",
  ),
  codes: z.enum(["keep", "dequantize"]).optional().describe(
    "Whether the linears of a quantized checkpoint stay in their codes; they do unless said, but for those of GGUF files.",
  ),
  unused: z.enum(["refuse", "ignore"]).optional().describe(
    "What becomes of tensors that nothing in the model reads, such as adapters and more layers; refused unless said.",
  ),
  use_biases: z.boolean().optional().describe(
    "Use the biases that a checkpoint has though its config denies them.",
  ),
  config: z.string().optional().describe(
    "For what DeepCompressor saved: the directory with config.json and tokenizer, if they are elsewhere.",
  ),
});

const declaration = declareStage({
  about: "Reads a checkpoint, checks every tensor, and keeps it as safetensors.",
  version: 3,
  params,
  inputs: {},
  output: "model",
  example: {},
  places: ["model", "config"],
  async fingerprint({ model, dtype: _, ...params }, files) {
    const path = await resolveModel(checkpointPlace(model));
    const sources = await importSources(path, params);
    // What headers refuse is not read to its end first, which may take hours.
    let checked: Promise<void> | undefined;
    const check = () => checked ??= checkHeaders(path, importOptions(params));
    return await Promise.all(
      sources.map(async (path) => [basename(path), await files.digest(path, check)]),
    );
  },
});

/** What `load` declares, for its work. */
export type LoadDeclaration = typeof declaration;

/** Brings a checkpoint into the form every other stage reads, after checking all of it. */
export const load = withWork(
  declaration,
  async () => (await import("./work/load.ts")).loadWork,
);

async function checkHeaders(path: string, options: ImportOptions): Promise<void> {
  const { openImport } = await import("./exchange/incoming/open_import.ts");
  using _incoming = await openImport(path, options);
}
