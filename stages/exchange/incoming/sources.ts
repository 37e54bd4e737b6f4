import { checkpointSources } from "../../models/open_checkpoint.ts";
import { MODEL_RECORD } from "../../models/model_record.ts";
import { deepCompressorSources, isDeepCompressor } from "../deepcompressor/checkpoint.ts";
import type { ImportOptions } from "./open_import.ts";
import { readOwnRecord } from "./record.ts";

/** The files that decide what a checkpoint is brought in as, for digests. */
export async function importSources(
  path: string,
  { config }: Pick<ImportOptions, "config"> = {},
): Promise<string[]> {
  if (await isDeepCompressor(path)) {
    return await deepCompressorSources(path, config === undefined ? {} : { texts: config });
  }
  const sources = await checkpointSources(path);
  const record = await readOwnRecord(path);
  const beside = record ? [MODEL_RECORD, ...record.lineage.map(({ file }) => file)] : [];
  return [...sources, ...beside.map((name) => `${path}/${name}`)].sort();
}
