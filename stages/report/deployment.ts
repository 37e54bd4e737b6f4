import type { MeasuredQuality } from "./quality.ts";

/** File name of the record of a deployment, beside the folder of its model's files. */
export const DEPLOYMENT_RECORD = "deployment.json";
/** Folder of the model's files, equal to those of the model artifact. */
export const DEPLOYED_MODEL = "model";

/** Folder of its adapters' files, a folder each. */
export const DEPLOYED_ADAPTERS = "adapters";

/** What `deployment.json` states: which model is served, how, and what it answered. */
export interface Deployment {
  readonly version: 1;
  readonly model: {
    /** Content digest of the model artifact. */
    readonly digest: string;
    readonly scheme: string;
    readonly bitsPerWeight: number;
    readonly parameters: number;
    readonly bytes: number;
    readonly kvBytesPerToken: number;
  };
  /** Sha256 of what decides how texts become tokens and conversations texts. */
  readonly digests: { readonly tokenizer: string; readonly chatTemplate?: string };
  /** The parameters of the stage that decide how it is served, as a manifest has them. */
  readonly served: Readonly<Record<string, unknown>>;
  /** LoRA adapters of the model, where each lies and the sha256 of its files. */
  readonly adapters?: readonly {
    readonly name: string;
    readonly directory: string;
    readonly digest: string;
  }[];
  /** Tokens that end its answers. */
  readonly ends: readonly { readonly id: number; readonly token: string }[];
  /** What quantization cost, by the first of the reports. */
  readonly quality?: MeasuredQuality;
  /** Content digests of the reports. */
  readonly reports: readonly string[];
  readonly answers: {
    /** Most tokens of each. */
    readonly tokens: number;
    /** The full-precision model whose answers stand beside. */
    readonly baseline?: { readonly digest: string; readonly scheme: string };
    readonly texts: readonly DeployedAnswer[];
  };
}

/** A prompt and what is answered: the likeliest token each time. */
export interface DeployedAnswer {
  readonly prompt: string;
  readonly answer: string;
  /** What the baseline answers. */
  readonly baseline?: string;
}

/** Writes the record of a deployment. */
export async function writeDeployment(directory: string, deployment: Deployment): Promise<void> {
  const text = JSON.stringify(deployment, undefined, 2);
  await Deno.writeTextFile(`${directory}/${DEPLOYMENT_RECORD}`, `${text}\n`);
}

/** Reads the record of a deployment; throws a `TypeError` where it is something else. */
export async function readDeployment(directory: string): Promise<Deployment> {
  const path = `${directory}/${DEPLOYMENT_RECORD}`;
  const read: Partial<Deployment> = JSON.parse(await Deno.readTextFile(path));
  const { version, model, served, answers } = read;
  if (version === 1 && model?.digest && served && answers) return read as Deployment;
  throw new TypeError(
    `Cannot read "${path}": its version is ${version}, expected 1 with model, served and answers`,
  );
}
