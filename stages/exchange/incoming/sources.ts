import { namesThere } from "../../formats/foreign_json.ts";
import { checkpointKind, checkpointSources } from "../../models/checkpoint_place.ts";
import { MODEL_RECORD } from "../../models/model_record.ts";
import { isDeepCompressor } from "../deepcompressor/saved_files.ts";
import { PROVENANCE } from "../provenance.ts";
import type { ImportOptions } from "./import.ts";

/** The files that decide what a checkpoint is brought in as, for digests. */
export async function importSources(
  path: string,
  { config }: Pick<ImportOptions, "config"> = {},
): Promise<string[]> {
  if (await isDeepCompressor(path)) {
    const { deepCompressorSources } = await import("../deepcompressor/checkpoint.ts");
    return await deepCompressorSources(path, config === undefined ? {} : { texts: config });
  }
  const sources = await checkpointSources(path);
  const beside = checkpointKind(path) === "directory" ? await ownFiles(path) : [];
  return [...sources, ...beside.map((name) => `${path}/${name}`)].sort();
}

/** Files by which a directory is an artifact or an export of ours; other programs use their names too. */
async function ownFiles(directory: string): Promise<readonly string[]> {
  const there = namesThere(directory, [MODEL_RECORD, PROVENANCE]);
  if (there.includes(MODEL_RECORD)) {
    const { readOwnRecord } = await import("./record.ts");
    const record = await readOwnRecord(directory);
    const { channelFiles } = await import("../../models/lineage.ts");
    if (record) return [MODEL_RECORD, ...channelFiles(record)];
  }
  if (!there.includes(PROVENANCE)) return [];
  const { isExport } = await import("./before_export.ts");
  return await isExport(directory) ? [PROVENANCE] : [];
}
