import { basename, dirname, join, relative, resolve } from "node:path";
import { allRuns, type RunRecord } from "../../store/runs.ts";
import { Store } from "../../store/store.ts";
import { KEY } from "../../store/directories.ts";
import { readOwnJson } from "../../store/durable.ts";
import { statedRecord } from "../../store/record.ts";

/** What a word on the command line names. */
export type Named =
  | {
    readonly what: "artifact";
    readonly key: string;
    readonly path: string;
    /** The store it lies in; an artifact that was put aside or copied away lies in none. */
    readonly store: Store | undefined;
    /** A file of it, where that was named. */
    readonly file?: string;
  }
  | { readonly what: "journal"; readonly key: string; readonly path: string }
  | { readonly what: "run"; readonly run: RunRecord; readonly store: Store }
  | { readonly what: "store"; readonly store: Store }
  | { readonly what: "place"; readonly path: string };

/** Letters of a key or a run's id that may stand for it. */
const LEAST = 4;

/** The artifact, run or file that a word names; throws an Error where it names none, or several. */
export async function findNamed(
  word: string,
  store: Store,
  { verb = "inspect" }: { readonly verb?: string } = {},
): Promise<Named> {
  const path = resolve(word);
  if (await isThere(path)) return await classify(path);
  const begins = (name: string) => word.length >= LEAST && name.startsWith(word);
  const keys = /^[0-9a-f]+$/.test(word) ? (await store.keys()).filter(begins) : [];
  const runs = await findRuns(word, store);
  const [first] = [...keys, ...runs.map(({ id }) => id)];
  if (first === undefined) {
    throw new Error(
      `Cannot ${verb} "${word}": there is no such file and nothing of the store ${store.path} is called so, expected a path, the first letters of an artifact's key, a run's id, or last`,
    );
  }
  if (keys.length + runs.length > 1) {
    const names = [...keys.map((key) => key.slice(0, 16)), ...runs.map(({ id }) => id)];
    throw new Error(
      `Cannot ${verb} "${word}": it may be ${names.join(" or ")}, expected one; add letters`,
    );
  }
  const [key] = keys;
  if (key !== undefined) return artifactIn(store, key);
  return { what: "run", run: runs[0]!, store };
}

/** The runs of a store that a word names: `last`, or the first letters of an id. */
export async function findRuns(word: string, { path }: Store): Promise<readonly RunRecord[]> {
  const runs = await allRuns(path);
  if (word === "last") return runs.slice(0, 1);
  return runs.filter(({ id }) => id === word || (word.length >= LEAST && id.startsWith(word)));
}

async function classify(path: string): Promise<Named> {
  for (let at = path;; at = dirname(at)) {
    const found = await lookAt(at, path);
    if (found) return found;
    if (at === dirname(at)) return { what: "place", path };
  }
}

/** What a directory on the way up from a path makes of it. */
async function lookAt(at: string, path: string): Promise<Named | undefined> {
  const below = relative(at, path);
  const parent = dirname(at);
  const home = dirname(parent);
  if (KEY.test(basename(at)) && basename(parent) === "artifacts") {
    const target = artifactIn(new Store(home), basename(at));
    return below === "" ? target : { ...target, file: below.replaceAll("\\", "/") };
  }
  if (KEY.test(basename(at)) && basename(parent) === "journal") {
    return { what: "journal", key: basename(at), path: at };
  }
  const { key } = await statedRecord(at);
  if (typeof key === "string") {
    const facts = { what: "artifact", key, path: at, store: undefined } as const;
    return below === "" ? facts : { ...facts, file: below.replaceAll("\\", "/") };
  }
  if (at !== path) return undefined;
  if (basename(home) === "runs" && path.endsWith(".json")) {
    const run = await readOwnJson(path) as RunRecord | undefined;
    if (Array.isArray(run?.steps)) return { what: "run", run, store: new Store(dirname(home)) };
  }
  const marks = await Promise.all(
    ["artifacts", "locks"].map((name) => isThere(join(at, name))),
  );
  return marks.every(Boolean) ? { what: "store", store: new Store(at) } : undefined;
}

function artifactIn(store: Store, key: string): Named & { readonly what: "artifact" } {
  return { what: "artifact", key, path: join(store.path, "artifacts", key), store };
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
