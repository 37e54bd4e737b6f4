import type { Description, Panel, Passage, Plot, Table } from "../../pipeline/description.ts";
import { millions } from "../../pipeline/words.ts";
import { type Benchmark, bestOf, type MeasuredModel, ratesOf } from "../benchmark/results.ts";

/** Describes the report of a benchmark. */
export function describeBenchmark(benchmark: Benchmark): Description {
  const { title, models } = benchmark;
  return {
    title: `throughput of ${models.length} models`,
    sections: [{
      title,
      lines: [benchmarkWords(benchmark), ...refusals(models)],
      table: batchTable(models),
      charts: [{
        title: "Tokens a second",
        ...throughputPanel(
          models.filter(({ batches }) => batches.length > 0),
          { across: "Sequences at once", up: "Tokens a second" },
        ),
      }],
    }],
    warnings: [],
    figures: models.flatMap((model) => {
      const best = bestOf(model)?.rates.throughput;
      const name = models.length > 1 ? `${model.label}, tokens/s` : "Tokens/s";
      return best === undefined ? [] : [{ name, value: best, text: best.toFixed(1) }];
    }),
  };
}

/** A benchmark to read: each model's best batch, then all of them. */
export function benchmarkPassages(benchmark: Benchmark): readonly Passage[] {
  const { title, models } = benchmark;
  return [
    { title, lines: [benchmarkWords(benchmark)] },
    {
      title: "Highest throughput in the same memory",
      table: bestTable(models),
      notes: refusals(models),
    },
    { title: "By batch", table: batchTable(models) },
  ];
}

/** Tokens a second against the batch, a line for each model. */
export function throughputPlot(models: readonly MeasuredModel[]): Plot {
  return {
    name: "throughput",
    title: "Tokens a second by batch",
    form: "lines",
    panels: [throughputPanel(models, { across: "Batch", up: "Tokens/s" })],
  };
}

/** A model's best batch on one line, for a terminal or a log. */
export function bestWords(model: MeasuredModel): string {
  const best = bestOf(model);
  if (!best) return `${model.label}: ${model.refused ?? "no batch was measured"}`;
  const { batch: { batch }, rates } = best;
  return `${model.label}: ${rate(rates.throughput)} tokens/s in batches of ${batch} (prefill ${
    rate(rates.prefill)
  }, decode ${rate(rates.decode)}), ${
    millions(model.weightBytes)
  } MB of weights, ${model.kvBytesPerToken} KV bytes per token`;
}

/** What was measured, and on what. */
function benchmarkWords({ protocol, machine, began, models }: Benchmark): string {
  const { prompt, output, memoryBytes, warmUp, rounds } = protocol;
  const { device, system, cores, loadBefore } = machine;
  const earlier = models.flatMap(({ batches }) => batches).filter(({ at }) => at < began);
  const resumed = earlier.length > 0
    ? ` ${earlier.length} of the batches are of a run that was stopped, from ${earlier[0]!.at} on.`
    : "";
  return `Prompts of ${prompt} random tokens and answers of ${output}, no token ends an answer; ${
    millions(memoryBytes)
  } MB for weights, a step and KV pages of every model. Tokens/s are generated tokens by the time of prefill and decode together; the median of ${rounds} after ${warmUp} not counted. Measured on ${device} (${system}, ${cores} cores, load ${
    loadBefore.toFixed(1)
  } before).${resumed}`;
}

function refusals(models: readonly MeasuredModel[]): string[] {
  return models.flatMap(({ label, refused }) =>
    refused === undefined ? [] : [`${label}: ${refused}`]
  );
}

function throughputPanel(
  models: readonly MeasuredModel[],
  axes: Pick<Panel, "across" | "up">,
): Panel {
  const series = models.map(({ label, batches }) => ({
    name: label,
    points: batches.map((batch) => [batch.batch, ratesOf(batch).throughput] as const),
  }));
  return { ...axes, series };
}

function bestTable(models: readonly MeasuredModel[]): Table {
  const rows = models.map((model) => ({ ...model, best: bestOf(model) }));
  const first = rows.find(({ best }) => best)?.best?.rates.throughput ?? NaN;
  return tableOf(rows, {
    "Model": ({ label }) => label,
    "Weights / activations / KV": ({ scheme }) => scheme,
    "Weights, MB": ({ weightBytes }) => millions(weightBytes),
    "KV, bytes per token": ({ kvBytesPerToken }) => String(kvBytesPerToken),
    "Batch": ({ best }) => best ? String(best.batch.batch) : "none",
    "Tokens/s": ({ best }) => best ? rate(best.rates.throughput) : "",
    "Ratio": ({ best }) => best ? (best.rates.throughput / first).toFixed(2) : "",
  });
}

function batchTable(models: readonly MeasuredModel[]): Table {
  const rows = models.flatMap(({ label, batches }) =>
    batches.map((batch) => ({
      ...batch,
      label,
      rates: ratesOf(batch),
      seconds: batch.rounds.map(({ seconds }) => seconds),
    }))
  );
  const most = (counts: readonly number[]) => String(Math.max(...counts));
  return tableOf(rows, {
    "Model": ({ label }) => label,
    "Batch": ({ batch }) => String(batch),
    "Tokens/s": ({ rates }) => rate(rates.throughput),
    "Prefill tokens/s": ({ rates }) => rate(rates.prefill),
    "Decode tokens/s": ({ rates }) => rate(rates.decode),
    "ms per token": ({ rates }) => rates.tokenMs.toFixed(2),
    "Steps": ({ rounds }) => most(rounds.map(({ steps }) => steps)),
    "KV pages used": ({ rounds }) => most(rounds.map(({ pages }) => pages)),
    "KV pages, MB": ({ pageBytes }) => millions(pageBytes),
    "Begun anew": ({ rounds }) => most(rounds.map(({ preemptions }) => preemptions)),
    "Slowest to fastest round": ({ seconds }) =>
      (Math.max(...seconds) / Math.min(...seconds)).toFixed(2),
  });
}

/** Rows under headings, each with how it tells a row; columns are numbers where all texts are. */
function tableOf<Row>(
  rows: readonly Row[],
  columns: Readonly<Record<string, (row: Row) => string>>,
): Table {
  const isNumber = (texts: readonly string[]) =>
    texts.some((text) => /\d/.test(text)) &&
    texts.every((text) => /^[\d.]*$|^none$/.test(text));
  return {
    columns: Object.entries(columns).map(([heading, cell]) => ({
      heading,
      number: isNumber(rows.map(cell)),
    })),
    rows: rows.map((row) => Object.values(columns).map((cell) => cell(row))),
  };
}

function rate(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}
