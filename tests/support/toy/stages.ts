import { z } from "zod";
import type { Stage } from "../../../pipeline/stage.ts";
import { readNumber, writeNumber } from "./number.ts";

/** Kinds of the toy pipeline: files with a number in them, and reports. */
type Kind = "number" | "report";
type KindInput = Kind | `${Kind}?` | `${Kind}[]`;

function defineStage<
  Params,
  const Inputs extends Readonly<Record<string, KindInput>>,
  Output extends Kind,
>(stage: Stage<Params, Inputs, Output>): Stage<Params, Inputs, Output> {
  return stage;
}

/** A number from the manifest. */
export const constant = defineStage({
  about: "Makes a number.",
  version: 1,
  params: z.strictObject({ value: z.number().describe("The number.") }),
  inputs: {},
  output: "number",
  example: { value: 1 },
  run: (job, _, { value }) => writeNumber(job.out, value),
});

/** A number from a file outside the store. */
export const read = defineStage({
  about: "Reads a number from a file.",
  version: 1,
  params: z.strictObject({ path: z.string() }),
  places: ["path"],
  inputs: {},
  output: "number",
  example: { path: "number" },
  fingerprint: async ({ path }, files) => ({ file: await files.digest(path) }),
  run: async (job, _, { path }) => {
    const value = Number(await Deno.readTextFile(path));
    job.note("Read a number", { value });
    await writeNumber(job.out, value);
  },
});

/** The sum of one or two numbers and a parameter, made slowly if asked. */
export const add = defineStage({
  about: "Adds to a number.",
  version: 1,
  params: z.strictObject({
    by: z.number().default(0),
    parts: z.int().min(1).default(1).describe("Pieces of work."),
    pause: z.number().default(0).describe("Milliseconds a piece takes."),
    log: z.string().optional().describe("File that gets a line a call."),
  }),
  places: ["log"],
  inputs: { a: "number", b: "number?" },
  output: "number",
  example: {},
  run: async (job, { a, b }, { by, parts, pause, log }) => {
    if (log !== undefined) await Deno.writeTextFile(log, `${Deno.pid}\n`, { append: true });
    for (let part = 1; part <= parts; part++) {
      await Deno.writeTextFile(`${job.out}/part${part}`, "x".repeat(part));
      await new Promise((resolve) => setTimeout(resolve, pause));
      job.signal.throwIfAborted();
      job.progress(part, parts, `part ${part}`);
    }
    await writeNumber(job.out, await readNumber(a) + (b ? await readNumber(b) : 0) + by);
  },
});

/** Counts parts, keeping each in the journal; one that is kept is not counted again. */
export const count = defineStage({
  about: "Counts slowly.",
  version: 1,
  params: z.strictObject({
    parts: z.int().min(1).default(1).describe("Pieces of work."),
    pause: z.number().default(0).describe("Milliseconds a piece takes."),
    log: z.string().optional().describe("File that gets a line a piece: process and number."),
  }),
  places: ["log"],
  inputs: { a: "number?" },
  output: "number",
  example: {},
  run: async (job, { a }, { parts, pause, log }) => {
    let sum = a ? await readNumber(a) : 0;
    for (let part = 1; part <= parts; part++) {
      sum = await job.journal.recall(`part${part}`, async () => {
        await new Promise((resolve) => setTimeout(resolve, pause));
        if (log !== undefined) {
          await Deno.writeTextFile(log, `${Deno.pid} ${part}\n`, { append: true });
        }
        return sum + part;
      });
      job.signal.throwIfAborted();
      job.progress(part, parts, `part ${part}`);
    }
    await writeNumber(job.out, sum);
  },
});

/** The rest of a division by two: many inputs give the same bytes. */
export const parity = defineStage({
  about: "Tells odd from even.",
  version: 1,
  params: z.strictObject({}),
  inputs: { a: "number" },
  output: "number",
  example: {},
  run: async (job, { a }) => writeNumber(job.out, Math.abs(await readNumber(a) % 2)),
});

/** The sum of any number of inputs. */
export const total = defineStage({
  about: "Adds up numbers.",
  version: 1,
  params: z.strictObject({}),
  inputs: { all: "number[]" },
  output: "number",
  example: {},
  run: async (job, { all }) => {
    const values = await Promise.all(all.map(readNumber));
    await writeNumber(job.out, values.reduce((sum, value) => sum + value, 0));
  },
});

/** A number as a score. */
export const score = defineStage({
  about: "Scores a number.",
  version: 1,
  params: z.strictObject({}),
  inputs: { a: "number" },
  output: "report",
  example: {},
  run: async (_, { a }) => ({ scores: { value: await readNumber(a) } }),
});

/** Work that never succeeds. */
export const fail = defineStage({
  about: "Fails after writing a file.",
  version: 1,
  params: z.strictObject({ message: z.string().default("Cannot add one to one: it is odd") }),
  inputs: { a: "number?" },
  output: "number",
  example: {},
  run: async (job, _, { message }) => {
    await writeNumber(job.out, 1);
    throw new Error(message);
  },
});

/** Work that prints, as packages do. */
export const chatter = defineStage({
  about: "Prints to standard output.",
  version: 1,
  params: z.strictObject({}),
  inputs: {},
  output: "number",
  example: {},
  run: async (job) => {
    // deno-lint-ignore no-console -- the point of this stage
    console.log("a package says hello");
    await writeNumber(job.out, 1);
  },
});
