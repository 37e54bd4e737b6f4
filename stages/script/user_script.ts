import type { Checkpoint } from "../formats/checkpoint.ts";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createHash } from "node:crypto";

/** What a script may be given, by the names of inputs. */
export type ScriptInput = "model" | "models" | "stats" | "tokens" | "reports";

/** What a script's function is called with. */
export interface ScriptContext {
  /** Directories of the artifacts that `inputs` names; `models` and `reports` have lists. */
  readonly inputs: Readonly<Partial<Record<ScriptInput, string | readonly string[]>>>;
  /** As the manifest has them. */
  readonly params: Readonly<Record<string, unknown>>;
  /** Opens a model, to read its tensors; dispose of it. */
  open(path: string): Promise<Checkpoint>;
  /** Says something the user should read. */
  note(text: string): void;
  progress(done: number, total: number, note?: string): void;
  readonly signal: AbortSignal;
}

/** A tensor whose values a script changes in place: all of them, row after row. */
export interface ScriptTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What a script that makes a model gives: changes a tensor; one that it does not name stays. */
export interface ModelEdits {
  changes(name: string): boolean;
  change(tensor: ScriptTensor): void | Promise<void>;
}

/** What a script that makes a report gives: figures by name. */
export type ScriptFigures = Readonly<Record<string, number>>;

/** A script as its file exports it. */
interface Script<Result> {
  readonly inputs: readonly ScriptInput[];
  readonly output: "model" | "report";
  readonly default: (context: ScriptContext) => Result | Promise<Result>;
}

/** Loads a script as it is now, after checking what it declares against what the step gives it. */
export async function loadScript<Result>(
  file: string,
  { output, given, digest }: {
    readonly output: Script<Result>["output"];
    /** The inputs that the step has. */
    readonly given: readonly string[];
    /** Of its files: what was imported before and has changed since is imported again. */
    readonly digest: string;
  },
): Promise<Script<Result>["default"]> {
  await refuseStale(file);
  const url = pathToFileURL(resolve(file));
  url.searchParams.set("digest", digest);
  const script: Partial<Script<Result>> = await import(url.href);
  const refuse = (what: string) => new TypeError(`Cannot run script "${file}": ${what}`);
  if (typeof script.default !== "function") {
    throw refuse("it has no default export that is a function, expected one");
  }
  if (script.output !== output) {
    throw refuse(
      `it exports output ${JSON.stringify(script.output)}, expected "${output}" from this stage`,
    );
  }
  const declared = [...script.inputs ?? []].sort();
  if (String(declared) !== String([...given].sort())) {
    throw refuse(
      `it exports inputs [${declared.join(", ")}], expected those of the step: [${
        given.join(", ")
      }]`,
    );
  }
  return script.default;
}

/** Digests of files that scripts imported, as they were then: a process imports a file once. */
const imported = new Map<string, string>();

async function refuseStale(file: string): Promise<void> {
  for (const path of (await scriptFiles(file)).values()) {
    if (path === resolve(file)) continue;
    const digest = createHash("sha256").update(await Deno.readFile(path)).digest("hex");
    const before = imported.get(path) ?? digest;
    imported.set(path, before);
    if (before === digest) continue;
    throw new Error(
      `Cannot run script "${file}": this process imported "${path}" before it changed, expected a new one; run it again`,
    );
  }
}

/** The program's own code, whose versions are those of its stages. */
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const OWN = /^(mod\.ts$|(kernels|pipeline|stages)[\\/])/;

/** A module that another one names by a path of its own; types are gone when it runs. */
const FROM = /\b(?:import|export)\b(?!\s+type\b)[^;"']*?\bfrom\s*["'](\.{1,2}\/[^"']+)["']/g;
const PLAIN = /\bimport\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g;

/** A script and all files of the user that it imports by relative paths, by names from its folder. */
export async function scriptFiles(file: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const folder = dirname(resolve(file));
  const visit = async (path: string): Promise<void> => {
    const name = relative(folder, path).replaceAll("\\", "/");
    if (found.has(name) || OWN.test(relative(ROOT, path))) return;
    found.set(name, path);
    const text = await Deno.readTextFile(path).catch((error) => {
      throw new Error(`Cannot read script "${path}": ${error.message}, expected a TypeScript file`);
    });
    const places = [FROM, PLAIN].flatMap((form) => [...text.matchAll(form)]);
    for (const [, place = ""] of places) {
      const target = resolve(dirname(path), place);
      if (relative(ROOT, target) !== "mod.ts") {
        await visit(target);
        continue;
      }
      throw new Error(
        `Cannot run script "${file}": "${path}" imports values of the program that is running, expected "import type" alone; what it needs is in its context`,
      );
    }
  };
  await visit(resolve(file));
  return found;
}
