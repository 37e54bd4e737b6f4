import { elements } from "../../kernels/device/tensor.ts";
import { millions } from "../../pipeline/words.ts";
import type { StatsRecord } from "../calibration/stats.ts";
import { FORMATS } from "../exchange/find_format.ts";
import type { FormatOptions } from "../exchange/format.ts";
import { PROVENANCE, type Provenance, recipeOf, wholeHistory } from "../exchange/provenance.ts";
import { readme } from "../exchange/readme.ts";
import { refuseExport } from "../exchange/refusal.ts";
import { openSource, type Subject, subjectOf, without } from "../exchange/subject.ts";
import { verifyReading } from "../exchange/verify.ts";
import { PIECE_VALUES } from "../formats/rows.ts";
import { duration } from "../duration.ts";
import { hostPeak } from "../models/peaks.ts";
import { parsedBytes } from "../sizes.ts";
import { describeModel } from "../models/model_facts.ts";
import { readEvaluation } from "../report/evaluation.ts";
import type { ParamsOf, WorkOf } from "../kinds.ts";
import type { ExportDeclaration } from "../export.ts";

type Params = ParamsOf<ExportDeclaration>;

/** Most bytes of `provenance.json` and the README. */
const TOLD_BYTES = 10_000;
/** Most bytes that files of weights have beside each tensor of the model: names, shapes, alignment. */
const TENSOR_BYTES = 500;
/** Bytes a code takes on the host as it is packed, and by itself. */
const CODE_BYTES = 3;
/** Bytes a weight takes as it is compared: its code, as packed, and its values twice. */
const WEIGHT_BYTES = 11;
/** Bytes a value without a code takes then: as it was read, read back, in the model and rounded. */
const VALUE_BYTES = 14;
/** Most bytes of a token that the tokenizer has no text for, where tokens lie beside the weights. */
const UNUSED_TOKEN_BYTES = 32;

/** See `exportModel`. */
export const exportWork: WorkOf<ExportDeclaration> = {
  forecast({ model }, params, { rates }) {
    const format = FORMATS[params.format]!;
    const options = optionsOf(params);
    const subject = without(subjectOf(model), params.ignore);
    refuseExport(params.format, subject, { options, formats: FORMATS });
    const diskBytes = format.weightBytes(subject, options) + model.textBytes + TOLD_BYTES +
      TENSOR_BYTES * subject.tensors.size + UNUSED_TOKEN_BYTES * subject.config.vocabulary;
    return {
      // Written, and read back value by value.
      ...duration(rates, [{ written: 2 * diskBytes }]),
      deviceBytes: 0,
      hostBytes: hostPeak(arrayBytes(subject)) + parsedBytes(model, format),
      diskBytes,
      facts: {},
    };
  },
  async run(job, { model, stats, reports }, params) {
    const format = FORMATS[params.format]!;
    const options = optionsOf(params);
    using source = await openSource(model.path);
    const subject = without(source.subject, params.ignore);
    refuseExport(params.format, subject, { options, formats: FORMATS });
    const refusals = await format.refuseValues?.(source) ?? [];
    refuseExport(params.format, subject, { options, formats: FORMATS, refusals });
    const facts = await describeModel(model.path);
    const cautions = format.cautions?.(source) ?? [];
    const engines = format.engines(subject, options)
      .map((use) => ({ ...use, limits: [...use.limits, ...cautions] }));
    const provenance: Provenance = {
      version: 1,
      producer: "quattuor",
      format: params.format,
      model: model.digest,
      scheme: facts.scheme,
      ignored: params.ignore,
      recipe: recipeOf(wholeHistory(subject.record)),
      ...stats && { calibration: await calibrationOf(stats) },
      scores: await Promise.all(reports.map((report) => scoresOf(report, model.digest))),
      engines,
    };
    const { out, signal } = job;
    let half = 0;
    const progress = (done: number, total: number, note: string) =>
      job.progress(half * total + done, 2 * total, note);
    await format.write(source, { subject, out, options, provenance, signal, progress });
    const write = (name: string, text: string) => Deno.writeTextFile(`${out}/${name}`, text);
    await write(PROVENANCE, `${JSON.stringify(provenance, undefined, 2)}\n`);
    await write("README.md", readme(provenance, format.about));
    half = 1;
    using reading = await format.open(out);
    const rounding = format.rounding(subject, options);
    for await (
      const { tensor, rule } of verifyReading(reading, { source, rounding, signal, progress })
    ) {
      throw new Error(
        `Cannot export to ${params.format}: reading it back, ${
          tensor ? `"${tensor}": ` : ""
        }${rule}`,
      );
    }
    const bytes = format.weightBytes(subject, options);
    const { parameters } = facts;
    job.note(
      `${millions(bytes)} MB of weights, ${
        (8 * bytes / parameters).toFixed(3)
      } bits a parameter; read back and compared`,
      { bytes, parameters },
      "result",
    );
    for (const { engine, command, limits } of engines) {
      job.note(`${engine}: ${command}`, { engine, command }, "result");
      for (const limit of limits) job.note(`${engine}: ${limit}`, { engine }, "warning");
    }
  },
};

/** Bytes of arrays at once, as the largest linear and the largest tensor are written and compared. */
function arrayBytes({ linears, tensors }: Subject): number {
  const most = (counts: readonly number[]) => counts.reduce((a, b) => Math.max(a, b), 0);
  const weight = most(linears.map(({ rows, columns }) => rows * columns));
  const values = most([...tensors.values()].map(elements));
  return Math.max(
    CODE_BYTES * weight + WEIGHT_BYTES * Math.min(PIECE_VALUES, weight),
    VALUE_BYTES * Math.min(PIECE_VALUES, values),
  );
}

function optionsOf({ dtype, type, shard_bytes: shardBytes }: Params): FormatOptions {
  return { dtype, shardBytes, ...type && { type } };
}

async function calibrationOf(
  { path, digest }: { readonly path: string; readonly digest: string },
): Promise<NonNullable<Provenance["calibration"]>> {
  const { tokens, windows, context }: StatsRecord = JSON.parse(
    await Deno.readTextFile(`${path}/stats.json`),
  );
  return { digest, tokens, windows, context };
}

async function scoresOf(
  { path, digest }: { readonly path: string; readonly digest: string },
  expected: string,
): Promise<Provenance["scores"][number]> {
  const { model, protocol, scores } = await readEvaluation(path);
  if (model.digest === expected) return { report: digest, protocol, scores };
  throw new TypeError(
    `Cannot state scores of another model: the report is about ${
      model.digest.slice(0, 12)
    }, expected ${expected.slice(0, 12)}; feed reports of the exported model`,
  );
}
