import type { Describe } from "../../pipeline/description.ts";
import { DEPLOYMENT_RECORD } from "../report/deployment.ts";

/** How what lies at a path is told. */
type Describer = (path: string, options: Parameters<Describe>[1]) => ReturnType<Describe>;

interface ToldKind {
  /** The file that gives it away. */
  readonly mark: string;
  /** Whether descriptions of it have a headline. */
  readonly headline?: true;
  /** What tells it, read when one is told. */
  readonly describe: Describer;
}

/** What is told of each kind of artifact. */
const KINDS: Readonly<Record<string, ToldKind>> = {
  deployment: {
    mark: DEPLOYMENT_RECORD,
    headline: true,
    describe: async (...asked) =>
      await (await import("./deployment.ts")).describeDeployment(...asked),
  },
  // Before models: most exports have a config too.
  export: {
    mark: "provenance.json",
    describe: async (...asked) => await (await import("./export.ts")).describeExport(...asked),
  },
  model: { mark: "config.json", describe: describeModelFiles },
  stats: {
    mark: "stats.json",
    describe: async (...asked) => await (await import("./stats.ts")).describeStats(...asked),
  },
  tokens: {
    mark: "tokens.json",
    describe: async (...asked) => await (await import("./tokens.ts")).describeTokens(...asked),
  },
  report: {
    mark: "report.json",
    headline: true,
    describe: async (path) => await (await import("./report.ts")).describeReport(path),
  },
};

/** Says what an artifact of ours, a Hugging Face checkpoint or a GGUF file really is. */
export const describePath: Describe = async (path, options) => {
  const { kind, headlineOnly = false } = options;
  if (kind !== undefined) {
    const known = KINDS[kind];
    return headlineOnly && !known?.headline ? undefined : await known?.describe(path, options);
  }
  const { isDirectory } = await Deno.stat(path);
  if (!isDirectory) {
    if (!await isGguf(path)) return undefined;
    const { describeGguf } = await import("./gguf.ts");
    return await describeGguf(path, options);
  }
  for (const { mark, describe } of Object.values(KINDS)) {
    if (await isFile(`${path}/${mark}`)) return await describe(path, options);
  }
  // Weights without a config are a broken checkpoint, and worth a word.
  const names = await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
  const weights = names.some((name) => name.endsWith(".safetensors"));
  return weights ? await describeModelFiles(path, options) : undefined;
};

async function describeModelFiles(...asked: Parameters<Describer>): ReturnType<Describer> {
  const { describeModelDirectory } = await import("./model.ts");
  return await describeModelDirectory(...asked);
}

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
