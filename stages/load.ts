import { basename } from "node:path";
import { z } from "zod";
import { elements } from "../kernels/device/tensor.ts";
import { forecastLoad } from "./forecast/load.ts";
import { type Checkpoint, checkpointSources, openCheckpoint } from "./formats/checkpoint.ts";
import { writeCheckpointTexts } from "./formats/checkpoint_texts.ts";
import { createCheckpointWriter } from "./formats/checkpoint_writer.ts";
import { assertFinite } from "./formats/finite.ts";
import { storedBytes } from "./formats/half.ts";
import { resolveModel } from "./formats/hub.ts";
import { defineStage } from "./kinds.ts";
import { EMBEDDED } from "./models/embedded.ts";
import { findFamily } from "./models/find_family.ts";

const PIECE_VALUES = 2 ** 24;

const params = z.strictObject({
  model: z.string().default("embedded").describe(
    "A Hugging Face directory, a .gguf file, hf:org/name@revision, or embedded for the model that ships with the program.",
  ),
  dtype: z.enum(["float16", "float32"]).default("float16").describe(
    "Element type of the matrices; vectors stay in single precision.",
  ),
});

/** Brings a checkpoint into the form every other stage reads, after checking all of it. */
export const load = defineStage({
  about: "Reads a checkpoint, checks every tensor, and keeps it as safetensors.",
  version: 1,
  params,
  inputs: {},
  output: "model",
  example: {},
  places: ["model"],
  async fingerprint({ model }, files) {
    const sources = await checkpointSources(await resolveModel(placeOf(model)));
    return await Promise.all(
      sources.map(async (path) => [basename(path), await files.digest(path)]),
    );
  },
  forecast: (_inputs, { model, dtype }) =>
    forecastLoad(placeOf(model), (checkpoint) => storedTensors(checkpoint, dtype)),
  async run(job, _inputs, { model, dtype }) {
    const { signal } = job;
    const progress = (done: number, total: number, note?: string) =>
      job.progress(done, total, note);
    const path = await resolveModel(placeOf(model), { signal, progress });
    using checkpoint = await openCheckpoint(path);
    const specs = storedTensors(checkpoint, dtype);
    using writer = await createCheckpointWriter(job.out, specs);
    for (const [index, { name, dtype, shape }] of specs.entries()) {
      const { file } = checkpoint.tensors.get(name)!;
      const rows = shape[0]!;
      const step = Math.max(1, Math.floor(PIECE_VALUES / (elements(shape) / rows)));
      for (let start = 0; start < rows; start += step) {
        signal.throwIfAborted();
        const values = await checkpoint.read(name, { start, end: Math.min(rows, start + step) });
        assertFinite(values, name, file);
        await writer.write(name, storedBytes(values, { name, dtype, file }));
      }
      job.progress(index + 1, specs.length, name);
    }
    await writer.close();
    await writeCheckpointTexts(checkpoint, job.out);
    const parameters = specs.reduce((sum, { shape }) => sum + elements(shape), 0);
    job.note(`${(parameters / 1e6).toFixed(1)} M parameters in ${specs.length} tensors`, {
      parameters,
      tensors: specs.length,
    });
  },
});

function placeOf(model: string): string {
  return model === "embedded" ? EMBEDDED : model;
}

/** The tensors to write: matrices in the type asked for, vectors in single precision. */
function storedTensors(checkpoint: Checkpoint, dtype: "float16" | "float32") {
  return [...expectedTensors(checkpoint)].map(([name, shape]) => ({
    name,
    dtype: dtype === "float16" && shape.length > 1 ? "F16" : "F32",
    shape,
  } as const));
}

/** The tensors the checkpoint's family wants, after comparing them with those there are. */
function expectedTensors({ path, config, tensors }: Checkpoint) {
  const family = findFamily(config);
  const expected = family.tensors(family.config(config));
  const problems: string[] = [];
  for (const [name, shape] of expected) {
    const stored = tensors.get(name);
    if (!stored) problems.push(`tensor "${name}" is missing`);
    else if (String(stored.shape) !== String(shape)) {
      problems.push(
        `tensor "${name}" in ${stored.file} is [${stored.shape.join(", ")}], expected [${
          shape.join(", ")
        }]`,
      );
    }
  }
  if (problems.length === 0) return expected;
  const more = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
  throw new TypeError(`Cannot load "${path}": ${problems.slice(0, 5).join("; ")}${more}`);
}
