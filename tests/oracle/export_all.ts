/**
 * Exports the models of a manifest in every format that takes them, and lets programs that are not
 * ours read what comes out:
 *
 *     deno run -A tests/oracle/export_all.ts --python PYTHON [--packers DIR] [--llama DIR]
 *         [--evaluations a,b] [--formats a,b] [--give-up activations,kv] [--windows N]
 *         [--lines FILE] [manifest] [options of run]
 *
 * PYTHON has what `exports.py` beside this file asks for; --packers is for that script; --llama is a
 * directory with node-llama-cpp, for greedy tokens of GGUF files. Models are those that evaluate
 * steps of the manifest score, all or those named; without --give-up formats must hold them as they
 * are. Readers score the first N windows, all unless said. Each export is a process of its own.
 * Prints a table as Markdown; --lines keeps all that was found, a JSON object a line. Ends with
 * status 1 where a format refuses nothing and yet something fails.
 *
 * Ratios of models with 8-bit inputs are noisy: factors of 1 + 1e-6 on the inputs of SmolLM2's linears
 * moved the perplexity of two windows by 0.9 %.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { RunEvent } from "../../pipeline/event.ts";
import { FORMATS } from "../../stages/exchange/find_format.ts";
import type { FormatOptions } from "../../stages/exchange/format.ts";
import { openSource, type Subject, without } from "../../stages/exchange/subject.ts";
import { type Protocol, readEvaluation } from "../../stages/report/evaluation.ts";
import { greedyTokens, readers, type Scored } from "./export_readers.ts";

const PROGRAM = fileURLToPath(new URL("../../mod.ts", import.meta.url));
const MANIFEST = fileURLToPath(new URL("export_manifest.yaml", import.meta.url));

type Ignored = "activations" | "kv";

/** One export and what readers found. */
interface Row {
  readonly model: string;
  readonly scheme: string;
  readonly format: string;
  readonly ignored: readonly Ignored[];
  readonly refused?: string;
  readonly failed?: string;
  readonly seconds?: number;
  readonly peakBytes?: number;
  readonly bytes?: number;
  readonly bits?: number;
  readonly ours?: number;
  readonly found?: readonly Record<string, unknown>[];
  readonly greedy?: string;
}

type Finished = Extract<RunEvent, { readonly type: "done" | "reuse" }>;

async function main(given: string[]): Promise<number> {
  const args = [...given];
  const python = takeOption(args, "--python");
  const packers = takeOption(args, "--packers");
  const llama = takeOption(args, "--llama");
  const lines = takeOption(args, "--lines");
  const evaluations = takeOption(args, "--evaluations");
  const formats = takeOption(args, "--formats")?.split(",") ?? Object.keys(FORMATS);
  const windows = Number(takeOption(args, "--windows") ?? Infinity);
  const givenUp = (takeOption(args, "--give-up")?.split(",") ?? []) as Ignored[];
  if (!python) throw new TypeError("Cannot read exports: no --python PYTHON, expected one");
  const named = args[0] !== undefined && !args[0].startsWith("-");
  const manifest = named ? await Deno.realPath(args.shift()!) : MANIFEST;
  const made = await run(manifest, [...args, ...evaluations ? ["--until", evaluations] : []]);
  const rows: Row[] = [];
  const tell = async (row: Row) => {
    rows.push(row);
    await write(Deno.stderr, JSON.stringify({ ...row, found: row.found?.length }));
    if (lines) await Deno.writeTextFile(lines, `${JSON.stringify(row)}\n`, { append: true });
  };
  for (const scored of await scoredModels(made.steps, evaluations?.split(","))) {
    const windowMeans = scored.windowMeans.slice(0, windows);
    const reference = await exported(manifest, scored, args, {
      format: "huggingface",
      dtype: "float32",
      ignore: ["activations", "kv"],
    });
    for (const format of formats) {
      for (const type of await typesOf(format, scored.path)) {
        const fit = await fitting(scored.path, format, { givenUp, type });
        const about = {
          model: scored.step,
          scheme: fit.scheme,
          format: type ? `${format} ${type}` : format,
          ignored: fit.ignored,
        };
        if (fit.refused !== undefined) {
          await tell({ ...about, refused: fit.refused });
          continue;
        }
        try {
          const { path, seconds, peakBytes, data } = await exported(manifest, scored, args, {
            format,
            ignore: fit.ignored,
            ...type && { type },
          });
          const found = await readers(python, path, {
            reference: reference.path,
            scored: { ...scored, windowMeans },
            packers,
            inputs: fit.inputs,
            kv: fit.kv,
          });
          const greedy = llama && format === "gguf"
            ? await greedyTokens(llama, path, scored.path).catch((error) =>
              `FAILED: ${error.message}`
            )
            : undefined;
          const { bytes, parameters } = data;
          await tell({
            ...about,
            seconds,
            peakBytes,
            bytes,
            bits: 8 * bytes / parameters,
            ours: perplexityOf(windowMeans),
            found,
            ...greedy !== undefined && { greedy },
          });
        } catch (error) {
          await tell({ ...about, failed: error instanceof Error ? error.message : String(error) });
        }
      }
    }
  }
  await write(Deno.stdout, table(rows));
  const broken = ({ failed, greedy }: Row) => failed !== undefined || greedy?.startsWith("FAILED");
  return rows.some(broken) ? 1 : 0;
}

/** Exp of the mean of windows' means. */
function perplexityOf(windowMeans: readonly number[]): number {
  return Math.exp(windowMeans.reduce((sum, mean) => sum + mean, 0) / windowMeans.length);
}

/** Writes a line. */
async function write(to: Pick<typeof Deno.stdout, "write">, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

/** Takes an option with a value out of the arguments. */
function takeOption(args: string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
}

/** Models that evaluate steps score, with the reports. */
async function scoredModels(
  steps: readonly Finished[],
  wanted: readonly string[] | undefined,
): Promise<Scored[]> {
  const found: Scored[] = [];
  for (const { step, path, scores } of steps) {
    if (scores.perplexity === undefined || wanted && !wanted.includes(step)) continue;
    const { model, protocol, windowMeans } = await readEvaluation(path);
    const of = steps.find(({ digest }) => digest === model.digest);
    const tokens = await tokensIn(steps, protocol);
    if (!of || !tokens) continue;
    const { context } = protocol;
    found.push({ step: of.step, evaluation: step, path: of.path, windowMeans, context, tokens });
  }
  return found;
}

/** The file of token ids of which the scored ones were the first. */
async function tokensIn(
  steps: readonly Finished[],
  { context, windows, tokens }: Protocol,
): Promise<string | undefined> {
  for (const { path } of steps) {
    const file = `${path}/tokens.u32`;
    try {
      const bytes = (await Deno.readFile(file)).subarray(0, 4 * context * windows);
      if (createHash("sha256").update(bytes).digest("hex") === tokens) return file;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

/** The types of weights to try: GGUF has some for a model in full precision, and one for codes. */
async function typesOf(
  format: string,
  path: string,
): Promise<(FormatOptions["type"] | undefined)[]> {
  if (format !== "gguf") return [undefined];
  using source = await openSource(path);
  const coded = Object.keys(source.subject.record.linears).length > 0;
  return coded ? [undefined] : ["F16", "Q8_0", "Q4_0", "Q4_1"];
}

/** Whether a format takes a model, what is given up for it, and what the model rounds. */
async function fitting(
  path: string,
  format: string,
  { givenUp, type }: {
    readonly givenUp: readonly Ignored[];
    readonly type: FormatOptions["type"] | undefined;
  },
): Promise<{
  readonly scheme: string;
  readonly ignored: readonly Ignored[];
  readonly refused?: string;
  readonly inputs: boolean;
  readonly kv: number | undefined;
}> {
  using source = await openSource(path);
  const { subject } = source;
  const options: FormatOptions = { dtype: "float16", shardBytes: 5e9, ...type && { type } };
  const refusals = (subject: Subject) => FORMATS[format]!.refusals(subject, options);
  const [linear] = Object.values(subject.record.linears);
  const scheme = JSON.stringify(linear ?? {});
  const inputs = linear?.inputs?.range === "dynamic";
  const kv = subject.record.kv[0]?.key.bits;
  const about = { scheme, inputs, kv };
  const whole = refusals(subject);
  if (whole.length === 0) return { ...about, ignored: [] };
  const ignored = [...new Set(whole.map(({ what }) => what))]
    .filter((what): what is Ignored => what !== "model" && givenUp.includes(what));
  const rest = refusals(without(subject, ignored));
  if (rest.length === 0) return { ...about, ignored };
  return { ...about, ignored, refused: [...new Set(rest.map(({ text }) => text))].join("; ") };
}

/** Exports a model in a process of its own. */
async function exported(
  manifest: string,
  { step, evaluation }: Scored,
  args: readonly string[],
  params: Record<string, unknown>,
): Promise<{
  readonly path: string;
  readonly seconds: number;
  readonly peakBytes: number;
  readonly data: { readonly bytes: number; readonly parameters: number };
}> {
  const directory = await Deno.makeTempDir({ prefix: "quattuor-export-" });
  const file = `${directory}/export.yaml`;
  const from = { model: step, ...params.ignore === undefined ? {} : { reports: [evaluation] } };
  const steps = { exported: { stage: "export", from, with: params } };
  await Deno.writeTextFile(file, JSON.stringify({ extends: manifest, steps }));
  try {
    const { steps, notes, peakBytes } = await run(file, [
      ...args,
      "--until",
      "exported",
      "--force=exported",
    ]);
    const { path, seconds } = steps.find(({ step }) => step === "exported")!;
    const data = notes.find(({ step, data }) => step === "exported" && data?.bytes !== undefined)!
      .data as { bytes: number; parameters: number };
    return { path, seconds, peakBytes, data };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Runs a manifest; what its steps gave, what they said, and the most memory the process had. */
async function run(manifest: string, args: readonly string[]): Promise<{
  readonly steps: readonly Finished[];
  readonly notes: readonly Extract<RunEvent, { readonly type: "note" }>[];
  readonly peakBytes: number;
}> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", PROGRAM, "run", manifest, ...args, "--json"],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let peakBytes = 0;
  const watch = setInterval(() => {
    try {
      const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
      peakBytes = 1024 * Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) || peakBytes;
    } catch {
      // It has ended.
    }
  }, 20);
  const { stdout, code } = await child.output();
  clearInterval(watch);
  const text = new TextDecoder().decode(stdout);
  const events = text.split("\n").filter((line) => line.startsWith("{"))
    .map((line): RunEvent => JSON.parse(line));
  if (code !== 0) {
    const failed = events.find((event) => event.type === "failed") as
      | { readonly message?: string }
      | undefined;
    throw new Error(failed?.message ?? text.slice(-500));
  }
  return {
    steps: events.filter((event): event is Finished =>
      event.type === "done" || event.type === "reuse"
    ),
    notes: events.filter((event) => event.type === "note"),
    peakBytes,
  };
}

/** All rows as a table in Markdown. */
function table(rows: readonly Row[]): string {
  const head = [
    ...["model", "format", "MB", "bits a parameter", "export s", "peak MB"],
    ...["largest difference of a weight", "our perplexity", "reader's", "ratio", "greedy"],
  ];
  const lines = rows.map((row): string[] => {
    const name = [row.format, ...row.ignored.map((what) => `without ${what}`)].join(", ");
    if (row.refused !== undefined) return [row.model, name, `refused: ${row.refused}`];
    if (row.failed !== undefined) return [row.model, name, `FAILED: ${row.failed}`];
    const found = row.found!;
    const linears = found.find(({ kind, of }) => kind === "weights" && of === "linears");
    const scores = found.filter(({ kind }) => kind === "perplexity");
    const words = (score: Record<string, unknown>) =>
      `${(score.perplexity as number).toFixed(4)} (inputs ${score.inputs}, KV ${score.kv})`;
    const last = scores.at(-1);
    return [
      row.model,
      name,
      (row.bytes! / 1e6).toFixed(1),
      row.bits!.toFixed(3),
      row.seconds!.toFixed(1),
      (row.peakBytes! / 1e6).toFixed(0),
      (linears?.relative as number | undefined)?.toExponential(1) ?? "",
      row.ours!.toFixed(4),
      scores.map(words).join("; "),
      last ? ((last.perplexity as number) / row.ours!).toFixed(5) : "",
      row.greedy ?? "",
    ];
  });
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join(
    "\n",
  );
}

if (import.meta.main) Deno.exit(await main(Deno.args));
