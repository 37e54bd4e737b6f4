import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import {
  allRuns,
  type Call,
  findNamed,
  findStep,
  HERE,
  openSharedStore,
  readRecord,
  stagesOf,
  type Store,
  UsageError,
} from "../../pipeline/cli/mod.ts";
import type { ModelHeaders } from "../engine/shared_memory.ts";
import { DEPLOYED_MODEL, DEPLOYMENT_RECORD, readDeployment } from "../report/deployment.ts";
import type { ServedModel } from "../serve/model_card.ts";
import { namesModel } from "./model_names.ts";

/** The kinds of artifact that are served, the first one rather. */
const KINDS = ["deployment", "model"];
const WORDS = KINDS.join(" or a ");
const VERB = "serve";

/** What is made where nothing is said, and what brings in a model that is no artifact yet. */
const [QOQ, LOAD] = [config("qoq.yaml"), config("load.yaml")];

/** What is served, found and not made yet. */
export interface FoundServed {
  /** Throws what is known against making it. */
  refuse(signal: AbortSignal): Promise<void>;
  /** The model; it is made first where it has to be. */
  open(signal: AbortSignal): Promise<ServedModel>;
}

/**
 * Throws where a model cannot be served as it is asked for, from its headers alone and what a step of
 * `stage: serve` says of it.
 */
export type ModelDemand = (
  headers: ModelHeaders,
  stated: Readonly<Record<string, unknown>> | undefined,
) => Promise<void>;

/** Finds the model that a word of the command line names, without making anything. */
export async function findServed(
  call: Call,
  word: string | undefined,
  demand: ModelDemand,
): Promise<FoundServed> {
  const { flags, own: { step } } = call;
  const made = (manifest: string) => toMake(call, { manifest, demand });
  if (word === undefined) return await made(QOQ);
  if (/\.ya?ml$/.test(word)) return await made(word);
  if (step !== undefined) {
    throw new UsageError(
      `Cannot serve step "${step}" of "${word}": it is no manifest, expected one with --step`,
    );
  }
  const load = () =>
    toMake(call, { manifest: LOAD, set: [`model=${word}`], name: basename(word), demand });
  if (await namesModel(word)) return await load();
  const store = await openSharedStore(HERE, flags);
  const target = await findNamed(word, store, { verb: VERB });
  if (target.what === "place") {
    if (await isDeployment(target.path)) return there(await deployed(target.path, basename(word)));
    return await load();
  }
  if (target.what === "artifact" && target.file === undefined) {
    const read = await readRecord(target.path, target.key);
    if ("why" in read) throw new Error(`Cannot serve ${target.path}: ${read.why}`);
    if (read.record.kind === "export") return await load();
    if (KINDS.includes(read.record.kind)) {
      const name = target.key.slice(0, 12);
      return there(await described(target.store ?? store, { ...target, name }));
    }
    throw new Error(`Cannot serve "${word}": it is a ${read.record.kind}, expected a ${WORDS}`);
  }
  if (target.what === "run") {
    for (const kind of KINDS) {
      for (const { name, key } of target.run.steps.toReversed()) {
        const found = key === undefined ? undefined : await servedUnder(key, target.store);
        if (found?.kind === kind) return there(await described(target.store, { ...found, name }));
      }
    }
    throw new Error(`Cannot serve run ${target.run.id}: it has no ${WORDS}, expected one`);
  }
  throw new Error(
    `Cannot serve "${word}": it is a ${target.what}, expected a manifest, an artifact, a run or a checkpoint`,
  );
}

/** A model that needs no work. */
function there(model: ServedModel): FoundServed {
  return { refuse: () => Promise.resolve(), open: () => Promise.resolve(model) };
}

/** What a manifest makes for one of its models. */
async function toMake(
  call: Call,
  { name, demand, ...wanted }: {
    readonly manifest: string;
    readonly set?: readonly string[];
    readonly name?: string;
    readonly demand: ModelDemand;
  },
): Promise<FoundServed> {
  const { own: { step: asked }, program } = call;
  const stages = await stagesOf(program);
  const { name: step, store, refuse, make } = await findStep(call, {
    ...wanted,
    kinds: KINDS,
    verb: VERB,
    ...typeof asked === "string" && { step: asked },
    async demand({ name, stage, inputs: { model }, params }, factsOf) {
      const isDeployed = stages[stage]?.output === KINDS[0];
      const facts = await factsOf(isDeployed ? String(model) : name);
      const stated = isDeployed ? params as Readonly<Record<string, unknown>> : undefined;
      if (facts) await demand(facts as ModelHeaders, stated);
    },
  });
  return {
    refuse,
    async open(signal) {
      const key = await make(signal);
      const found = key === undefined ? undefined : await servedUnder(key, store);
      if (!found) {
        throw new Error(`Cannot serve step "${step}": its artifact is gone, or no ${WORDS}`);
      }
      return await described(store, { ...found, name: name ?? step });
    },
  };
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
