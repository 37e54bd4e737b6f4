import type { Description, Series } from "../../pipeline/description.ts";
import { type Benchmark, bestOf, type MeasuredModel, ratesOf } from "../benchmark/results.ts";
import { batchTable, benchmarkWords } from "../benchmark/table.ts";

/** Describes the report of a benchmark. */
export function describeBenchmark(benchmark: Benchmark): Description {
  const { title, models } = benchmark;
  const { headings, rows } = batchTable(models);
  const refused = models.flatMap(({ label, refused }) => refused ? [`${label}: ${refused}`] : []);
  return {
    title: `throughput of ${models.length} models`,
    sections: [{
      title,
      lines: [benchmarkWords(benchmark), ...refused],
      table: {
        columns: headings.map((heading, at) => ({ heading, number: at > 0 })),
        rows,
      },
      charts: [{
        title: "Tokens a second",
        across: "Sequences at once",
        up: "Tokens a second",
        series: models.map(seriesOf).filter(({ points }) => points.length > 0),
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

function seriesOf({ label, batches }: MeasuredModel): Series {
  return {
    name: label,
    points: batches.map((batch) => [batch.batch, ratesOf(batch).throughput] as const),
  };
}
