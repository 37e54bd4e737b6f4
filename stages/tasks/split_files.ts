/** Which rows of a data set are meant. */
export interface SplitChoice {
  readonly config: string;
  readonly split: string;
}

const ROWS = /\.(parquet|jsonl|json|ndjson)(\.(gz|zst|zstd))?$/;

/**
 * The files of a split among those of a data set, as hubs and their libraries lay them out:
 * `data/test-00000-of-00002.parquet`, `config/test/0000.parquet`, `config/test.jsonl` and such; none
 * where there are none.
 */
export function splitFiles(
  paths: readonly string[],
  { config, split }: SplitChoice,
): readonly string[] {
  const rows = paths.filter((path) => ROWS.test(path)).toSorted();
  const name = `${escaped(split)}(-\\d+-of-\\d+|/\\d+|[-_.]\\d+)?`;
  const folders = [`${escaped(config)}/`, `data/${escaped(config)}/`, `${escaped(config)}[-_]`];
  // What lies in no folder of a configuration is of the only one there is.
  const plain = ["data/", ""];
  for (const folder of [...folders, ...plain]) {
    const found = rows.filter((path) => new RegExp(`^${folder}${name}${ROWS.source}`).test(path));
    if (found.length > 0) return found;
  }
  return [];
}

function escaped(text: string): string {
  return RegExp.escape(text);
}
