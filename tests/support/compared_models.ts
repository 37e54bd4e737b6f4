import { compare } from "../../stages/compare.ts";
import { type Evaluation, writeEvaluation } from "../../stages/report/evaluation.ts";
import { forgetful } from "./journal_stub.ts";

/** What models were scored on. */
export const PROTOCOL = { id: "windows", context: 512, windows: 16, tokens: "ab".repeat(32) };

/** Runs the stage on reports written for it. */
export async function run(evaluations: readonly Evaluation[], params: object = {}) {
  const root = await Deno.makeTempDir();
  const remove = () => Deno.remove(root, { recursive: true });
  try {
    const reports = await Promise.all(evaluations.map(async (one, index) => {
      const path = `${root}/report-${index}`;
      await Deno.mkdir(path);
      await writeEvaluation(path, one);
      return { kind: "report", path, key: path, digest: path, scores: {} } as const;
    }));
    const out = `${root}/out`;
    await Deno.mkdir(out);
    const notes: string[] = [];
    await compare.run(
      {
        tools: { memoryBytes: 0, device: () => Promise.reject(new Error("no device is needed")) },
        out,
        signal: new AbortController().signal,
        journal: forgetful,
        progress: () => {},
        note: (text) => notes.push(text),
      },
      { reports },
      compare.params.parse(params),
    );
    const files = [...Deno.readDirSync(out)].map(({ name }) => name).sort();
    return {
      notes,
      files,
      path: (name: string) => `${out}/${name}`,
      read: (name: string) => Deno.readTextFile(`${out}/${name}`),
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** What an evaluation of a model says. */
export function evaluation(
  model: Partial<Evaluation["model"]>,
  scores: Evaluation["scores"],
): Evaluation {
  const bits = model.bitsPerWeight ?? 16;
  return {
    scores,
    protocol: PROTOCOL,
    model: {
      digest: "ef".repeat(32),
      parameters: 9.6e6,
      bytes: bits * 1.2e6,
      bitsPerWeight: bits,
      kvBytesPerToken: 2048,
      scheme: "W16 A16 KV16",
      layers: [],
      kvErrors: [],
      ...model,
    },
    windowMeans: [],
    hidden: false,
  };
}
