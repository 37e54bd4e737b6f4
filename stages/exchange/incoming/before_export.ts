import { z } from "zod";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { readOptionalJson } from "../../formats/foreign_json.ts";
import type { ModelRecord } from "../../models/model_record.ts";
import { PROVENANCE } from "../provenance.ts";
import { history } from "./record.ts";

/** What is read of an export's provenance. */
const told = z.looseObject({ version: z.literal(1), recipe: z.looseObject({ stages: history }) });

/** Whether an export of ours lies in a directory: other programs use the file's name too. */
export async function isExport(directory: string): Promise<boolean> {
  return await ownProvenance(directory) !== undefined;
}

/**
 * The stages that made a model before it was exported, as the `provenance.json` beside it or a GGUF file
 * itself tells; undefined where it is no export of ours, or nothing tells any more that it is.
 */
export async function stagesBefore(
  path: string,
  { provenance }: Pick<Checkpoint, "provenance">,
): Promise<ModelRecord["history"] | undefined> {
  const json = provenance === undefined ? await ownProvenance(path) : ours(JSON.parse(provenance));
  if (json === undefined) return undefined;
  const { data, error } = told.safeParse(json);
  if (data) return data.recipe.stages.map(({ stage, params }) => ({ stage, params }));
  const [{ path: at, message }] = error.issues as [z.core.$ZodIssue];
  throw new TypeError(
    `Cannot load "${path}": its provenance has ${
      at.join(".")
    }: ${message}, expected what an export of this program tells; export it anew`,
  );
}

async function ownProvenance(directory: string): Promise<object | undefined> {
  const { isDirectory } = await Deno.stat(directory);
  return isDirectory ? ours(await readOptionalJson(`${directory}/${PROVENANCE}`)) : undefined;
}

function ours(json: unknown): object | undefined {
  return Object(json).producer === "quattuor" ? json as object : undefined;
}
