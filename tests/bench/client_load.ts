import {
  type Asked,
  type LoadOptions,
  type LoadResult,
  loadResult,
  sendLoad,
  type SentLoad,
  type Spread,
} from "./serve.ts";

/** What one server made of one load. */
export interface Row {
  readonly clients: number;
  readonly name: string;
  readonly result: LoadResult;
}

/** Sizes of what is sent. */
export interface ClientSizes extends Pick<LoadOptions, "prompt" | "output"> {
  readonly clients: readonly number[];
  /** Requests of a round, at least; every client sends two or more. */
  readonly requests: number;
  readonly rounds: number;
  /** Random ids of prompts are below it. */
  readonly vocabulary: number;
}

/** Has servers answer in turns, for every number of clients, after a load that counts for nothing. */
export async function timeClients(
  servers: readonly { readonly name: string; readonly url: string; readonly asked?: Asked }[],
  { clients, requests, rounds, ...sizes }: ClientSizes,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const count of clients) {
    const sent = servers.map((): SentLoad[] => []);
    for (let round = -1; round < rounds; round++) {
      for (const [at, { url, asked }] of servers.entries()) {
        const load = await sendLoad({
          ...sizes,
          url,
          rate: 0,
          clients: count,
          requests: round < 0 ? count : Math.max(requests, 2 * count),
          // No prompt has been seen before; every server sees the same.
          seed: 1 + round + 1000 * count,
          ...asked && { asked },
        });
        if (round >= 0) sent[at]!.push(load);
      }
    }
    rows.push(
      ...servers.map(({ name }, at) => ({ clients: count, name, result: loadResult(sent[at]!) })),
    );
  }
  return rows;
}

/** A table of rows; the first of each number of clients is what others are held to. */
export function clientLines(rows: readonly Row[]): readonly string[] {
  const ms = ({ p50, p95, p99 }: Spread) =>
    Number.isNaN(p50)
      ? ""
      : [p50, p95, p99].map((seconds) => (1000 * seconds).toFixed(seconds < 0.1 ? 1 : 0)).join(
        " / ",
      );
  return table(
    [
      "clients",
      "",
      "tokens in + out",
      "tokens/s",
      "of the first",
      "first token, ms",
      "between, ms",
      "not answered",
    ],
    rows.map(({ clients, name, result }) => {
      const first = rows.find((row) => row.clients === clients)!;
      const failed = Object.entries(result.errors).map(([what, count]) => `${count} × ${what}`);
      return [
        String(clients),
        name,
        [result.promptTokens, result.generatedTokens]
          .map((tokens) => Math.round(tokens / result.answered)).join(" + "),
        result.tokensPerSecond.toFixed(1),
        (result.tokensPerSecond / first.result.tokensPerSecond).toFixed(2),
        ms(result.firstToken),
        ms(result.betweenTokens),
        failed.join(", "),
      ];
    }),
  );
}

/** Markdown; words of the first two columns, numbers behind them. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, at) => at < 2 ? "---" : "--:")), ...rows.map(line)];
}
