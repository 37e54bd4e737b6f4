import {
  type Benchmark,
  bestOf,
  type MeasuredBatch,
  type MeasuredModel,
  ratesOf,
} from "./results.ts";

/** A benchmark as Markdown: each model's best batch, then all of them. */
export function benchmarkMarkdown(benchmark: Benchmark): string {
  const { title, models } = benchmark;
  const first = models.map(bestOf).find((best) => best !== undefined)?.rates.throughput;
  const best = models.map((model) => {
    const found = bestOf(model);
    return [
      model.label,
      model.scheme,
      megabytes(model.weightBytes),
      String(model.kvBytesPerToken),
      ...found
        ? [
          String(found.batch.batch),
          rate(found.rates.throughput),
          (found.rates.throughput / first!).toFixed(2),
        ]
        : ["none", "", ""],
    ];
  });
  const all = batchTable(models);
  const refusals = models.flatMap(({ label, refused }) =>
    refused === undefined ? [] : [`- ${escape(label)}: ${escape(refused)}`]
  );
  return [
    `# ${title}`,
    benchmarkWords(benchmark),
    "## Highest throughput in the same memory",
    table([
      "Model",
      "Weights / activations / KV",
      "Weights, MB",
      "KV, bytes per token",
      "Batch",
      "Tokens/s",
      "Ratio",
    ], best),
    ...refusals.length > 0 ? [refusals.join("\n")] : [],
    "## By batch",
    table(all.headings, all.rows),
  ].join("\n\n") + "\n";
}

/** All batches of all models, as texts. */
export function batchTable(
  models: readonly MeasuredModel[],
): { readonly headings: readonly string[]; readonly rows: readonly (readonly string[])[] } {
  return {
    headings: [
      "Model",
      "Batch",
      "Tokens/s",
      "Prefill tokens/s",
      "Decode tokens/s",
      "ms per token",
      "Steps",
      "KV pages used",
      "KV pages, MB",
      "Begun anew",
      "Slowest to fastest round",
    ],
    rows: models.flatMap((model) => model.batches.map((batch) => batchCells(model, batch))),
  };
}

/** What was measured, and on what. */
export function benchmarkWords({ protocol, machine, began, models }: Benchmark): string {
  const { prompt, output, memoryBytes, warmUp, rounds } = protocol;
  const { device, plans, system, cores, loadBefore } = machine;
  const earlier = models.flatMap(({ batches }) => batches).filter(({ at }) => at < began);
  const resumed = earlier.length > 0
    ? ` ${earlier.length} of the batches are of a run that was stopped, from ${earlier[0]!.at} on.`
    : "";
  return `Prompts of ${prompt} random tokens and answers of ${output}, no token ends an answer; ${
    megabytes(memoryBytes)
  } MB for weights, a step and KV pages of every model. Tokens/s are generated tokens by the time of prefill and decode together; the median of ${rounds} after ${warmUp} not counted. Measured on ${device} (${plans} plans; ${system}, ${cores} cores, load ${
    loadBefore.toFixed(1)
  } before).${resumed}`;
}

/** A model's best batch on one line, for a terminal or a log. */
export function bestWords(model: MeasuredModel): string {
  const best = bestOf(model);
  if (!best) return `${model.label}: ${model.refused ?? "no batch was measured"}`;
  const { batch: { batch }, rates } = best;
  return `${model.label}: ${rate(rates.throughput)} tokens/s in batches of ${batch} (prefill ${
    rate(rates.prefill)
  }, decode ${rate(rates.decode)}), ${
    megabytes(model.weightBytes)
  } MB of weights, ${model.kvBytesPerToken} KV bytes per token`;
}

function batchCells({ label }: MeasuredModel, measured: MeasuredBatch): string[] {
  const { batch, rounds, pageBytes } = measured;
  const rates = ratesOf(measured);
  const seconds = rounds.map(({ seconds }) => seconds);
  const most = (of: (round: MeasuredBatch["rounds"][number]) => number) =>
    String(Math.max(...rounds.map(of)));
  return [
    label,
    String(batch),
    rate(rates.throughput),
    rate(rates.prefill),
    rate(rates.decode),
    rates.tokenMs.toFixed(2),
    most(({ steps }) => steps),
    most(({ pages }) => pages),
    megabytes(pageBytes),
    most(({ preemptions }) => preemptions),
    (Math.max(...seconds) / Math.min(...seconds)).toFixed(2),
  ];
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escape).join(" | ")} |`;
  const isNumber = (column: number) =>
    rows.some((row) => /\d/.test(row[column]!)) &&
    rows.every((row) => /^[\d.]*$|^none$/.test(row[column]!));
  const marks = headings.map((_, column) => isNumber(column) ? "---:" : "---");
  return [line(headings), line(marks), ...rows.map(line)].join("\n");
}

function escape(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\\|<]/g, "\\$&");
}

function rate(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
