import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import {
  allRuns,
  type Call,
  findNamed,
  HERE,
  makeStep,
  openSharedStore,
  readRecord,
  type Store,
} from "../../pipeline/cli/mod.ts";
import { DEPLOYED_MODEL, DEPLOYMENT_RECORD, readDeployment } from "../report/deployment.ts";
import type { ServedModel } from "../serve/model_card.ts";
import { namesModel } from "./model_names.ts";

/** The kinds of artifact that are served, the first one rather. */
const KINDS = ["deployment", "model"];
const WORDS = KINDS.join(" or a ");
const VERB = "serve";

/** What is made where nothing is said, and what brings in a model that is no artifact yet. */
const [QOQ, LOAD] = [config("qoq.yaml"), config("load.yaml")];

/** The model that a word of the command line names; it is made first where it has to be. */
export async function findServed(
  call: Call,
  word: string | undefined,
  signal: AbortSignal,
): Promise<ServedModel> {
  const { flags } = call;
  if (word === undefined) return await made(call, { manifest: QOQ, signal });
  if (/\.ya?ml$/.test(word)) return await made(call, { manifest: word, signal });
  const load = () =>
    made(call, { manifest: LOAD, set: [`model=${word}`], name: basename(word), signal });
  if (await namesModel(word)) return await load();
  const store = await openSharedStore(HERE, flags);
  const target = await findNamed(word, store, { verb: VERB });
  if (target.what === "place") {
    if (await isDeployment(target.path)) return await deployed(target.path, basename(word));
    return await load();
  }
  if (target.what === "artifact" && target.file === undefined) {
    const read = await readRecord(target.path, target.key);
    if ("why" in read) throw new Error(`Cannot serve ${target.path}: ${read.why}`);
    if (read.record.kind === "export") return await load();
    if (KINDS.includes(read.record.kind)) {
      return await described(target.store ?? store, { ...target, name: target.key.slice(0, 12) });
    }
    throw new Error(`Cannot serve "${word}": it is a ${read.record.kind}, expected a ${WORDS}`);
  }
  if (target.what === "run") {
    for (const kind of KINDS) {
      for (const { name, key } of target.run.steps.toReversed()) {
        const found = key === undefined ? undefined : await servedUnder(key, target.store);
        if (found?.kind === kind) return await described(target.store, { ...found, name });
      }
    }
    throw new Error(`Cannot serve run ${target.run.id}: it has no ${WORDS}, expected one`);
  }
  throw new Error(
    `Cannot serve "${word}": it is a ${target.what}, expected a manifest, an artifact, a run or a checkpoint`,
  );
}

/** Makes what a manifest needs for one of its models, and gives that. */
async function made(
  call: Call,
  { name, ...wanted }: {
    readonly manifest: string;
    readonly set?: readonly string[];
    readonly name?: string;
    readonly signal: AbortSignal;
  },
): Promise<ServedModel> {
  const { step: asked } = call.own;
  const { name: step, key, store } = await makeStep(call, {
    ...wanted,
    kinds: KINDS,
    verb: VERB,
    ...typeof asked === "string" && { step: asked },
  });
  const found = key === undefined ? undefined : await servedUnder(key, store);
  if (!found) throw new Error(`Cannot serve step "${step}": its artifact is gone, or no ${WORDS}`);
  return await described(store, { ...found, name: name ?? step });
}

async function servedUnder(key: string, store: Store) {
  const path = `${store.path}/artifacts/${key}`;
  const read = await readRecord(path, key);
  const kind = "record" in read ? read.record.kind : "";
  return KINDS.includes(kind) ? { key, path, kind } : undefined;
}

async function described(
  store: Store,
  { key, path, name }: { readonly key: string; readonly path: string; readonly name: string },
): Promise<ServedModel> {
  const read = await readRecord(path, key);
  if ("why" in read) throw new Error(`Cannot serve ${path}: ${read.why}`);
  const { digest, kind } = read.record;
  if (kind === "deployment") return await deployed(path, name);
  const evaluations = new Set<string>();
  for (const { steps } of await allRuns(store.path)) {
    for (const { stage, key, recipe } of steps) {
      const inputs = Object.values(recipe?.inputs ?? {}).flat();
      if (key === undefined || stage !== "evaluate" || !inputs.includes(digest)) continue;
      evaluations.add(`${store.path}/artifacts/${key}`);
    }
  }
  return { path, digest, name, evaluations: [...evaluations] };
}

async function isDeployment(path: string): Promise<boolean> {
  return await Deno.stat(`${path}/${DEPLOYMENT_RECORD}`).then(({ isFile }) => isFile, () => false);
}

/** What a deployment serves, under the first of the names that it says. */
async function deployed(path: string, name: string): Promise<ServedModel> {
  const deployment = await readDeployment(path);
  const { names, model: { digest } } = { names: [], ...deployment.served, ...deployment };
  const [said] = names as readonly string[];
  const model = `${path}/${DEPLOYED_MODEL}`;
  const adapters = (deployment.adapters ?? [])
    .map(({ name, directory }) => ({ name, path: `${path}/${directory}` }));
  return { path: model, digest, name: said ?? name, evaluations: [], deployment, adapters };
}

function config(name: string): string {
  return fileURLToPath(new URL(`../../configs/${name}`, import.meta.url));
}
