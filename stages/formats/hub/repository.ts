import {
  datasetInfo,
  HubApiError,
  type ListFileEntry,
  listFiles,
  modelInfo,
} from "@huggingface/hub";
import { join } from "node:path";
import { readOptionalJson } from "../foreign_json.ts";
import { promisedParts } from "../gguf/parts.ts";
import { fetchFile, type HubFile, type HubOptions } from "./download.ts";
import type { HubPlace } from "./place.ts";
import { refusal, wayToBring } from "./refusal.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

const SMALL = /^([^/]+\.(json|jinja)|LICENSE)$/;
/** What an index says, as far as it is looked at here. */
interface Index {
  readonly weight_map?: unknown;
}
/** What makes a tokenizer where there is no `tokenizer.json`, beside `vocab.json`. */
const OTHER_TOKENIZER = /^(tokenizer\.model|merges\.txt)$/;
/** What an artifact of ours has beside its weights, which its `model.json` names. */
const CHANNELS = /^channels-\d+\.safetensors$/;
const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** The local paths of the files of a repository that `choose` takes; what it throws is passed on. */
export async function fetchChosen(
  place: string,
  parsed: HubPlace,
  { choose, options }: {
    readonly choose: (paths: readonly string[]) => readonly string[];
    readonly options: HubOptions;
  },
): Promise<readonly string[]> {
  const found = await findRepository(place, parsed, options);
  if (found.snapshot !== undefined) {
    const { snapshot } = found;
    return choose(await pathsBelow(snapshot)).map((path) => join(snapshot, path));
  }
  const { files, settings } = found;
  try {
    const fetched: string[] = [];
    for (const path of choose([...files.keys()])) {
      fetched.push(await fetchFile(findFile(place, path, files), settings, options));
    }
    return fetched;
  } catch (error) {
    throw error instanceof HubApiError ? refusal(place, parsed, error, settings) : error;
  }
}

/** A repository at a commit: what the hub lists of it, or where the cache has some of it. */
type Repository =
  | { readonly snapshot: string }
  | {
    readonly snapshot?: never;
    readonly files: ReadonlyMap<string, HubFile>;
    readonly settings: HubSettings;
  };

async function findRepository(
  place: string,
  parsed: HubPlace,
  options: HubOptions,
): Promise<Repository> {
  const settings = await hubSettings();
  const folder = join(settings.cacheDir, `${parsed.type}s--${parsed.name.replaceAll("/", "--")}`);
  const kept = async (why: string) => ({
    snapshot: await cached(place, { parsed, folder, why }),
  });
  if (settings.offline) return await kept("HF_HUB_OFFLINE is set");
  let commit: string;
  try {
    commit = await findCommit(parsed, settings, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof HubApiError) throw refusal(place, parsed, error, settings);
    return await kept(
      `${settings.hubUrl} cannot be reached (${error instanceof Error ? error.message : error})`,
    );
  }
  const entries = await list(parsed, commit, settings, options);
  if (commit !== parsed.revision) await writeReference(folder, parsed.revision, commit);
  const files = new Map(
    entries.map((entry) => [entry.path, { place: parsed, commit, folder, entry }]),
  );
  return { files, settings };
}

async function pathsBelow(folder: string, before = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(folder, before))) {
    const path = before === "" ? name : `${before}/${name}`;
    if (isDirectory) paths.push(...await pathsBelow(folder, path));
    else paths.push(path);
  }
  return paths.sort();
}

/** The local path of a checkpoint, or of one file of a repository, fetched as far as it is not here. */
export async function fetchPlace(
  place: string,
  parsed: HubPlace,
  options: HubOptions,
): Promise<string> {
  const found = await findRepository(place, parsed, options);
  if (found.snapshot !== undefined) return found.snapshot;
  const { files, settings } = found;
  try {
    if (parsed.file === undefined) {
      return await fetchCheckpoint(place, { files, settings, options });
    }
    const paths = promisedParts(parsed.file);
    const wanted = paths.map((path) => findFile(place, path, files));
    const fetched: string[] = [];
    for (const file of wanted) fetched.push(await fetchFile(file, settings, options));
    return fetched[paths.indexOf(parsed.file)]!;
  } catch (error) {
    throw error instanceof HubApiError ? refusal(place, parsed, error, settings) : error;
  }
}

async function findCommit(
  { type, name, revision }: HubPlace,
  settings: HubSettings,
  { signal }: HubOptions,
): Promise<string> {
  const wanted = { name, revision, ...request(settings, signal) };
  const { sha } = type === "dataset"
    ? await datasetInfo({ ...wanted, additionalFields: ["sha"] })
    : await modelInfo({ ...wanted, additionalFields: ["sha"] });
  return sha;
}

async function list(
  { type, name, file }: HubPlace,
  commit: string,
  settings: HubSettings,
  { signal }: HubOptions,
): Promise<readonly ListFileEntry[]> {
  const entries: ListFileEntry[] = [];
  const listing = listFiles({
    repo: { type, name },
    revision: commit,
    recursive: type === "dataset" || file !== undefined,
    ...request(settings, signal),
  });
  for await (const entry of listing) if (entry.type === "file") entries.push(entry);
  return entries;
}

/** What every call to the hub is given. */
function request({ hubUrl, accessToken }: HubSettings, signal: AbortSignal | undefined) {
  return {
    hubUrl,
    fetch:
      ((input, init) => fetch(input, { ...init, ...(signal ? { signal } : {}) })) as typeof fetch,
    ...(accessToken ? { accessToken } : {}),
  };
}

async function fetchCheckpoint(
  place: string,
  { files, settings, options }: {
    readonly files: ReadonlyMap<string, HubFile>;
    readonly settings: HubSettings;
    readonly options: HubOptions;
  },
): Promise<string> {
  const config = files.get("config.json");
  if (config === undefined) {
    const gguf = [...files.keys()].filter((path) => path.endsWith(".gguf"));
    throw new TypeError(
      `Cannot load "${place}": the repository has no config.json, expected one${
        gguf.length > 0 ? `, or the name of a GGUF file after it: ${gguf.join(", ")}` : ""
      }`,
    );
  }
  const other = !files.has("tokenizer.json");
  const small = [...files.keys()].filter((path) =>
    SMALL.test(path) || (other && OTHER_TOKENIZER.test(path))
  );
  const total = { bytes: 0, done: 0 };
  const fetchAll = async (paths: readonly string[]) => {
    const wanted = paths.map((path) => findFile(place, path, files));
    total.bytes += wanted.reduce((sum, { entry }) => sum + entry.size, 0);
    for (const file of wanted) {
      await fetchFile(file, settings, {
        ...(options.signal ? { signal: options.signal } : {}),
        progress: (done, _size, note) => options.progress?.(total.done + done, total.bytes, note),
      });
      total.done += file.entry.size;
    }
  };
  await fetchAll(small);
  if (files.has("model.json")) {
    await fetchAll([...files.keys()].filter((path) => CHANNELS.test(path)));
  }
  const snapshot = join(config.folder, "snapshots", config.commit);
  if (files.has(SINGLE)) {
    await fetchAll([SINGLE]);
  } else if (files.has(INDEX)) {
    const index = await readOptionalJson(join(snapshot, INDEX)) as Index | null | undefined;
    await fetchAll([...new Set(Object.values(Object(index?.weight_map)).map(String))].sort());
  } else {
    throw new TypeError(
      `Cannot load "${place}": the repository has neither ${SINGLE} nor ${INDEX}, expected one of them`,
    );
  }
  return snapshot;
}

function findFile(place: string, path: string, files: ReadonlyMap<string, HubFile>): HubFile {
  const file = files.get(path);
  if (file !== undefined) return file;
  const extension = path.slice(path.lastIndexOf("."));
  const alike = [...files.keys()].filter((each) => each.endsWith(extension)).slice(0, 8);
  throw new TypeError(
    `Cannot load "${place}": the repository has no file "${path}", expected one of its files${
      alike.length > 0 ? `, such as ${alike.join(", ")}` : ""
    }`,
  );
}

async function writeReference(folder: string, revision: string, commit: string): Promise<void> {
  const path = join(folder, "refs", revision);
  await Deno.mkdir(join(path, ".."), { recursive: true });
  await Deno.writeTextFile(path, commit);
}

async function cached(
  place: string,
  { parsed, folder, why }: {
    readonly parsed: HubPlace;
    readonly folder: string;
    readonly why: string;
  },
): Promise<string> {
  const reference = await Deno.readTextFile(join(folder, "refs", parsed.revision)).catch(() => "");
  const path = join(folder, "snapshots", reference.trim() || parsed.revision, parsed.file ?? "");
  if (await Deno.stat(path).then(() => true, () => false)) return path;
  throw new Error(
    `Cannot load "${place}": ${why} and ${folder} does not have it, expected it there; ${
      wayToBring(parsed, folder)
    }`,
  );
}
