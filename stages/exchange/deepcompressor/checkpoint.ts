import { readRunConfig, type RunPrecision } from "./recipe/run_config.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { openTorchCheckpoint, torchSources } from "../../formats/torch/checkpoint.ts";
import { openTorchFile, type TorchFile } from "../../formats/torch/file.ts";
import { architectureOf } from "../../models/architecture.ts";
import type { DecoderConfig } from "../../models/config.ts";
import { type ModelRecord, PLAIN } from "../../models/model_record.ts";
import { rowPieces } from "../../formats/rows.ts";
import type { CodedWeight } from "../../quant/coded_weight.ts";
import { type InputScheme, type LinearScheme, schemeKind } from "../../quant/schemes.ts";
import {
  checkCodes,
  codedWeight,
  type CodeForm,
  codeForm,
  codeShift,
  rawCodes,
  storedScheme,
} from "./codes.ts";
import { SAVED_FILES } from "./saved_files.ts";
import { readGrid, readOutline, type ScaleNames, scaleNames, scaleProblem } from "./scales.ts";
import type { Reading } from "../format.ts";
import type { StoredLinear } from "../../models/linear.ts";
import { subjectOf } from "../subject.ts";
import { compareTensors } from "../tensor_rules.ts";

const { weights: WEIGHTS, scales: SCALES } = SAVED_FILES;

/** Beside what lies in the directory. */
export interface DeepCompressorOptions {
  /** Directory with `config.json` and the tokenizer; that of the weights unless said. */
  readonly texts?: string;
}

/** The files that decide what such a model is read as, for digests. */
export async function deepCompressorSources(
  path: string,
  { texts = path }: DeepCompressorOptions = {},
): Promise<string[]> {
  const run = await readRunConfig(path);
  const sources = torchSources({ weights: `${path}/${WEIGHTS}`, texts });
  return [...sources, `${path}/${SCALES}`, ...run ? [run.path] : []].sort();
}

/**
 * Opens the pair of files that DeepCompressor saves, and finds the codes again (its backends do the
 * same): weights are quantized with the scales they were made with.
 *
 * The files do not say how many bits codes have: the first linear tells, and all others must agree.
 * What inputs and the KV cache have stands in the run's `config-<time>.yaml` in the directory or above
 * it; without one, inputs are 8-bit where two levels ask for it.
 */
export async function openDeepCompressor(
  path: string,
  { texts = path }: DeepCompressorOptions = {},
): Promise<Reading> {
  using stack = new DisposableStack();
  const checkpoint = stack.use(
    await openTorchCheckpoint({ weights: `${path}/${WEIGHTS}`, texts }),
  );
  const scales = stack.use(await openTorchFile(`${path}/${SCALES}`));
  const run = await readRunConfig(path);
  refuseOnline(run);
  const config = untied(checkpoint.config as Record<string, unknown>, checkpoint.state);
  const plain = subjectOf({ config, record: PLAIN });
  const names = scaleNames(scales);
  const outlines = new Map(plain.linears.map((linear) => [linear.name, linear]));
  const rules = [...plain.tensors].map(([name, shape]) =>
    [name, { shape, dtypes: ["F16", "BF16", "F32", "F64"], optional: false }] as const
  );
  const compared = compareTensors(new Map(rules), checkpoint.tensors);
  const problems = [...compared.problems, ...scaleProblems(scales, names, outlines)];
  const pair: Pair = { checkpoint, scales, names };
  const sound = problems.length === 0 && names.size > 0;
  const form = sound ? await formOf(pair, plain.linears) : undefined;
  const linears = form ? await schemesOf(pair, { form, run, linears: plain.linears }) : {};
  if (names.size === 0) problems.push(`${scales.path} has no scales, expected those of linears`);
  const owned = stack.move();
  return {
    format: "deepcompressor",
    checkpoint,
    config,
    linears,
    kv: kvOf(run, plain.config),
    problems,
    // A tied head is saved as well.
    unexpected: compared.unexpected.filter((name) => name !== plain.ownHead),
    linear: (name) => recover(pair, outlines.get(name)!, form!),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** The two files, and which scales belong to which linear. */
interface Pair {
  readonly checkpoint: Checkpoint;
  readonly scales: TorchFile;
  readonly names: ReadonlyMap<string, ScaleNames>;
}

function refuseOnline(run: RunPrecision | undefined): void {
  if (!run?.transforms.includes("down_proj")) return;
  throw new TypeError(
    `Cannot read the model of "${run.path}": it rotates the inputs of down_proj while it runs, which ${WEIGHTS} does not hold, expected no transforms but out_proj`,
  );
}

/** Rotating a model unties its head, which the config of the original model cannot tell. */
function untied(config: Record<string, unknown>, state: TorchFile): Record<string, unknown> {
  const { ownHead, embeddings } = architectureOf(config);
  const [head, table] = [ownHead, embeddings].map((name) => state.tensors.get(name));
  if (config.tie_word_embeddings !== true || !head || !table) return config;
  const shared = head.storage === table.storage && head.offset === table.offset;
  return shared ? config : { ...config, tie_word_embeddings: false };
}

function scaleProblems(
  scales: TorchFile,
  names: Pair["names"],
  outlines: ReadonlyMap<string, StoredLinear>,
): string[] {
  return [...names].flatMap(([linear, of]) => {
    const outline = outlines.get(linear);
    if (!outline) {
      return [`${scales.path} has scales of "${linear}", expected linears of the model's layers`];
    }
    return scaleProblem(scales, of, outline) ?? [];
  });
}

/** How wide the codes of all linears are, told from the first one. */
async function formOf(
  { checkpoint, scales, names }: Pair,
  linears: readonly StoredLinear[],
): Promise<CodeForm> {
  const first = linears.find(({ name }) => names.has(name))!;
  const grid = await readGrid(scales, names.get(first.name)!, first);
  const [rows] = rowPieces([first.rows, first.columns]);
  const raw = rawCodes(await checkpoint.read(`${first.name}.weight`, rows), grid, 0);
  // The widest form tells what is wrong with codes that fit in none.
  const form = codeForm(raw, grid.zero) ?? { bits: 8, signed: raw.min < 0 };
  checkCodes(raw, { form, grid, name: first.name });
  return form;
}

async function schemesOf(
  { scales, names }: Pair,
  { form, run, linears }: {
    readonly form: CodeForm;
    readonly run: RunPrecision | undefined;
    readonly linears: readonly StoredLinear[];
  },
): Promise<Record<string, LinearScheme>> {
  const found: Record<string, LinearScheme> = {};
  for (const linear of linears) {
    const of = names.get(linear.name);
    if (!of) continue;
    const weights = storedScheme(form, await readOutline(scales, of, linear));
    const eight = run ? run.activations !== "none" : schemeKind(weights) === "two_level";
    if (run?.activations === "static") throw staticInputs(run);
    const inputs: InputScheme | undefined = eight ? { bits: 8, range: "dynamic" } : undefined;
    found[linear.name] = { weights, ...inputs && { inputs } };
  }
  return found;
}

function staticInputs({ path }: RunPrecision): TypeError {
  return new TypeError(
    `Cannot read the model of "${path}": inputs have static ranges, which ${SCALES} does not hold, expected a scale a token`,
  );
}

/** The KV cache as the run had it; ranges that were measured or searched are in neither file. */
function kvOf(
  run: RunPrecision | undefined,
  { layers, headSize }: DecoderConfig,
): ModelRecord["kv"] {
  const cache = run?.cache as {
    readonly bits: 4 | 8;
    readonly zero: LinearScheme["weights"]["zero"];
    readonly group: number | "head";
    readonly range: "dynamic" | "static";
    readonly clips?: readonly number[];
  } | undefined;
  if (!cache || cache.range === "static" || (cache.clips?.length ?? 0) > 1) return [];
  const { bits, zero, group, clips: [clip] = [] } = cache;
  const channels = group === "head" ? headSize : Math.min(group, headSize);
  const scheme = { bits, zero, group: channels, ...clip !== undefined && { clip } };
  return Array.from({ length: layers }, () => ({ key: scheme, value: scheme }));
}

async function recover(
  { checkpoint, scales, names }: Pair,
  outline: StoredLinear,
  form: CodeForm,
): Promise<CodedWeight> {
  const { name, rows, columns } = outline;
  const grid = await readGrid(scales, names.get(name)!, outline);
  const shift = codeShift(form, grid);
  const codes = new Uint8Array(rows * columns);
  for (const piece of rowPieces([rows, columns])) {
    const values = await checkpoint.read(`${name}.weight`, piece);
    const raw = rawCodes(values, grid, piece.start);
    checkCodes(raw, { form, grid, name });
    const from = piece.start * columns;
    for (let i = 0; i < raw.codes.length; i++) codes[from + i] = raw.codes[i]! + shift;
  }
  return codedWeight(codes, { form, grid, name });
}
