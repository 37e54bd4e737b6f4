import { isAbsolute, join } from "node:path";
import { tableRows } from "../data/table_rows.ts";
import { resolveChosen, resolveFile } from "../formats/hub/hub.ts";
import { splitFiles } from "./split_files.ts";
import { GENERATED_ROWS, type GeneratedSplit } from "./story_items.ts";

/** A row of a task and where it stands. */
export interface TaskRow {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly at: string;
}

/** Where rows of a split are. */
export interface RowsPlace {
  readonly place: string;
  readonly config: string;
  readonly split: string;
  /** The directory that paths begin at. */
  readonly base: string;
}

const GENERATED = "generated:";
/** Where the hub keeps every data set as parquet. */
const CONVERTED = "refs/convert/parquet";

/** The local files of a split, fetched if they must be; none where its rows are generated. */
export async function rowFiles(
  { place, config, split, base }: RowsPlace,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  if (place.startsWith(GENERATED)) return [];
  const options = signal ? { signal } : {};
  if (place.startsWith("hf:") && !/\.(parquet|jsonl?|ndjson)(\.\w+)?$/.test(place)) {
    return await hubFiles(place, { config, split }, options);
  }
  const path = await resolveFile(place, options);
  const local = place.startsWith("hf:") || isAbsolute(path) ? path : join(base, path);
  const found = await Deno.stat(local).catch(() => undefined);
  if (!found) {
    throw new TypeError(
      `Cannot read rows of "${place}": there is no such file, expected JSON lines, a JSON array, parquet, a directory of them or hf:datasets/organization/name`,
    );
  }
  if (!found.isDirectory) return [local];
  const names = await filesBelow(local);
  const chosen = splitFiles(names, { config, split });
  if (chosen.length === 0) throw noSplit(place, { config, split }, names);
  return chosen.map((name) => join(local, name));
}

/** The rows of a split, file after file. */
export async function* taskRows(place: RowsPlace, signal?: AbortSignal): AsyncGenerator<TaskRow> {
  if (place.place.startsWith(GENERATED)) {
    const name = place.place.slice(GENERATED.length);
    const make = GENERATED_ROWS[name];
    if (!make) {
      throw new RangeError(
        `Cannot generate rows of "${name}": expected one of ${
          Object.keys(GENERATED_ROWS).join(", ")
        }`,
      );
    }
    for (const [index, fields] of make(place.split as GeneratedSplit).entries()) {
      yield { fields, at: `item ${index + 1} of ${place.place}` };
    }
    return;
  }
  for (const path of await rowFiles(place, signal)) yield* tableRows(path, { signal });
}

async function hubFiles(
  place: string,
  choice: { readonly config: string; readonly split: string },
  options: { readonly signal?: AbortSignal },
): Promise<readonly string[]> {
  let names: readonly string[] = [];
  const found = await resolveChosen(place, (paths) => {
    names = paths;
    return splitFiles(paths, choice);
  }, options);
  if (found.length > 0) return found;
  const [repository = ""] = place.split("@");
  const converted = await resolveChosen(
    `${repository}@${CONVERTED}`,
    (paths) => splitFiles(paths, choice),
    options,
  ).catch(() => []);
  if (converted.length > 0) return converted;
  throw noSplit(place, choice, names);
}

function noSplit(
  place: string,
  { config, split }: { readonly config: string; readonly split: string },
  names: readonly string[],
): TypeError {
  const script = names.find((name) => /^[^/]+\.py$/.test(name));
  const what = script === undefined
    ? `there are ${names.slice(0, 8).join(", ") || "no files"}`
    : `its rows come from the script ${script}, which is not run`;
  return new TypeError(
    `Cannot read split ${split} of configuration ${config} of "${place}": ${what}, expected parquet or JSON lines named after the split; give the rows as a file with data`,
  );
}

async function filesBelow(folder: string, before = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(folder, before))) {
    const path = before === "" ? name : `${before}/${name}`;
    if (isDirectory) paths.push(...await filesBelow(folder, path));
    else paths.push(path);
  }
  return paths;
}
