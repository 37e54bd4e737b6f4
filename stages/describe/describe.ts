import type { Describe } from "../../pipeline/description.ts";
import { describeDeployment } from "./deployment.ts";
import { describeExport } from "./export.ts";
import { describeGguf } from "./gguf.ts";
import { describeModelDirectory } from "./model.ts";
import { DEPLOYMENT_RECORD } from "../report/deployment.ts";
import { describeReport } from "./report.ts";
import { describeStats } from "./stats.ts";
import { describeTokens } from "./tokens.ts";

/** What each kind of artifact is told by: a describer, and the file that gives it away. */
const KINDS: Readonly<Record<string, { readonly mark: string; readonly describe: Inner }>> = {
  deployment: { mark: DEPLOYMENT_RECORD, describe: describeDeployment },
  // Before models: most exports have a config too.
  export: { mark: "provenance.json", describe: describeExport },
  model: { mark: "config.json", describe: describeModelDirectory },
  stats: { mark: "stats.json", describe: describeStats },
  tokens: { mark: "tokens.json", describe: describeTokens },
  report: { mark: "report.json", describe: describeReport },
};

type Inner = (path: string, options: Parameters<Describe>[1]) => ReturnType<Describe>;

/** Says what an artifact of ours, a Hugging Face checkpoint or a GGUF file really is. */
export const describePath: Describe = async (path, options) => {
  const { kind } = options;
  if (kind !== undefined) return await KINDS[kind]?.describe(path, options);
  const { isDirectory } = await Deno.stat(path);
  if (!isDirectory) {
    return await isGguf(path) ? await describeGguf(path, options) : undefined;
  }
  for (const { mark, describe } of Object.values(KINDS)) {
    if (await isFile(`${path}/${mark}`)) return await describe(path, options);
  }
  // Weights without a config are a broken checkpoint, and worth a word.
  const names = await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
  const weights = names.some((name) => name.endsWith(".safetensors"));
  return weights ? await describeModelDirectory(path, options) : undefined;
};

async function isGguf(path: string): Promise<boolean> {
  // Opening a pipe would wait for whoever writes to it.
  if (!await isFile(path)) return false;
  using file = await Deno.open(path);
  const magic = new Uint8Array(4);
  return await file.read(magic) === 4 && new TextDecoder().decode(magic) === "GGUF";
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then(({ isFile }) => isFile, () => false);
}
