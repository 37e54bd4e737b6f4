import { FORMATS } from "./find_format.ts";
import type { EngineUse, FormatOptions } from "./format.ts";
import { GGUF_FILE } from "./gguf/reading.ts";
import type { Subject } from "./subject.ts";
import { findProcessor, judgeKernels } from "./engine_kernels.ts";
import type { Breach } from "./verify.ts";

/** What our rules about an engine were taken from. */
const ENGINES: Readonly<Record<string, { readonly source: string; readonly also?: string[] }>> = {
  vllm: { source: "vLLM 0.33.0" },
  transformers: { source: "transformers 5.24.0", also: ["hf"] },
  "llama.cpp": { source: "gguf 0.19.0 and node-llama-cpp 3.22.1", also: ["llama-cpp"] },
  autoawq: { source: "AutoAWQ 0.2.9" },
  gptqmodel: { source: "GPTQModel 7.7.0" },
  qserve: { source: "OmniServe's main branch", also: ["omniserve"] },
  tinychat: { source: "llm-awq's main branch", also: ["llm-awq"] },
};

/** What an export is checked for: a format, an engine, or an engine of the format's name. */
export interface Target {
  readonly name: string;
  readonly format?: string;
  readonly engine?: {
    readonly name: string;
    /** What our rules about it were taken from. */
    readonly source: string;
    /** The version the user asked for. */
    readonly version?: string;
    /** What it runs on, by the table of engines' kernels. */
    readonly processor?: string;
  };
}

/**
 * The target that a word names, such as `vllm`, `vllm==0.33.0` or `compressed-tensors`; of an engine
 * also the processor, such as `h100`.
 */
export function findTarget(word: string, gpu?: string): Target {
  const processor = gpu === undefined ? undefined : findProcessor(gpu);
  const [, name = "", version] = /^([^=]*?)(?:==?(.+))?$/.exec(word.trim()) ?? [];
  const plain = name.toLowerCase().replaceAll("_", "-");
  const engine = Object.entries(ENGINES)
    .find(([engine, { also = [] }]) => [engine, ...also].includes(plain));
  if (engine) {
    const [found, { source }] = engine;
    return {
      name: found,
      engine: { name: found, source, ...version && { version }, ...processor && { processor } },
    };
  }
  if (processor !== undefined && Object.hasOwn(FORMATS, plain.replaceAll("-", "_"))) {
    throw new TypeError(
      `Cannot check "${word}" on ${processor}: it is a format, expected an engine, one of ${
        Object.keys(ENGINES).join(", ")
      }`,
    );
  }
  const format = plain.replaceAll("-", "_");
  if (Object.hasOwn(FORMATS, format) && version === undefined) return { name: format, format };
  const known = [...new Set([...Object.keys(ENGINES), ...Object.keys(FORMATS)])];
  throw new TypeError(
    `Cannot check for "${word}": there is no such engine or format, expected one of ${
      known.join(", ")
    }`,
  );
}

/** What an export holds, as engines judge it. */
export interface HeldModel {
  readonly subject: Subject;
  /** What the files themselves have in codes, which kernels have to multiply. */
  readonly stored: Pick<Subject, "linears" | "codedHead">;
  readonly options: FormatOptions;
}

/** What is said of a target that is to read a model in a format. */
export interface TargetJudgement {
  /** How its engine is started, where it reads the format. */
  readonly use?: EngineUse;
  /** The kernels that run it on the processor, a line a precision; none where no processor was said. */
  readonly kernels?: readonly string[];
  readonly breaches: readonly Breach[];
  readonly warnings: readonly string[];
}

/** Whether a target reads a model in a format. */
export function judgeTarget(
  { name, format: wanted, engine }: Target,
  format: string,
  model: HeldModel,
): TargetJudgement {
  const broken = (rule: string) => ({ breaches: [{ rule }], warnings: [] });
  if (!engine) {
    return format === wanted
      ? { breaches: [], warnings: [] }
      : broken(`it is in ${format}, expected ${name}`);
  }
  const use = engineUse(engine.name, format, model);
  if (!use) {
    const read = formatsRead(engine.name, model);
    const expected = read.length > 0 ? `one of ${read.join(", ")}` : "a model that it runs";
    return broken(`${engine.name} does not run this model in ${format}, expected ${expected}`);
  }
  const other = engine.version !== undefined && !engine.source.endsWith(` ${engine.version}`)
    ? [`rules are those of ${engine.source}; those of ${engine.name} ${engine.version} may differ`]
    : [];
  const limits = use.limits.map((limit) => `${engine.name}: ${limit}`);
  if (engine.processor === undefined) return { use, breaches: [], warnings: [...other, ...limits] };
  const { found, missing, warnings } = judgeKernels(engine.name, engine.processor, model.stored);
  return {
    use,
    kernels: found,
    breaches: missing.map((rule) => ({ rule })),
    warnings: [...other, ...limits, ...warnings],
  };
}

/** An engine's command with the place it is about. */
export function commandOn(path: string, { command }: Pick<EngineUse, "command">): string {
  const file = path.endsWith(".gguf") ? path : `${path}/${GGUF_FILE}`;
  return command.replaceAll(`DIR/${GGUF_FILE}`, file).replaceAll("DIR", path);
}

/** How an engine runs a model in a format; undefined where it does not read that. */
function engineUse(
  engine: string,
  format: string,
  { subject, options }: HeldModel,
): EngineUse | undefined {
  try {
    return FORMATS[format]!.engines(subject, options).find((use) => use.engine === engine);
  } catch {
    // A format may only know engines for what it holds.
    return undefined;
  }
}

/** The formats that an engine reads a model in. */
function formatsRead(engine: string, model: HeldModel): readonly string[] {
  return Object.keys(FORMATS).filter((format) => engineUse(engine, format, model));
}
