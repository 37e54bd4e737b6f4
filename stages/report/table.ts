import type { Comparison, Row } from "./rows.ts";

/** A column of a comparison's table. */
export interface Column {
  readonly heading: string;
  /** Whether cells are numbers, which stand flush right. */
  readonly number: boolean;
  cell(row: Row): string;
}

const COLUMNS: readonly Column[] = [
  { heading: "Method", number: false, cell: ({ label }) => label },
  { heading: "Weights / activations / KV", number: false, cell: ({ scheme }) => scheme },
  { heading: "Bits per weight", number: true, cell: (row) => row.bitsPerWeight.toFixed(2) },
  { heading: "Weights, MB", number: true, cell: (row) => (row.weightBytes / 1e6).toFixed(1) },
  { heading: "KV, bytes per token", number: true, cell: (row) => String(row.kvBytesPerToken) },
  { heading: "Perplexity", number: true, cell: (row) => significant(row.perplexity, 5) },
  { heading: "Ratio", number: true, cell: (row) => row.ratio.toFixed(4) },
  {
    heading: "KL, nats",
    number: true,
    cell: ({ kl }) => kl === undefined ? "" : significant(kl, 3),
  },
  {
    heading: "Top-1 agrees",
    number: true,
    cell: ({ top1 }) => top1 === undefined ? "" : `${(100 * top1).toFixed(2)} %`,
  },
];

/** The columns worth showing: the scheme only where labels say something else, no empty ones. */
export function columnsOf(rows: readonly Row[]): readonly Column[] {
  return COLUMNS.filter(({ cell }, index) =>
    index === 0 ||
    rows.some((row) => cell(row) !== "" && (index > 1 || row.scheme !== row.label))
  );
}

/** A comparison as Markdown. */
export function markdown({ title, protocol, rows }: Comparison): string {
  const columns = columnsOf(rows);
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const escape = (text: string) => text.replaceAll(/\s+/g, " ").replaceAll(/[\\|<]/g, "\\$&");
  const lines = [
    line(columns.map(({ heading }) => heading)),
    line(columns.map(({ number }) => number ? "---:" : "---")),
    ...rows.map((row) => line(columns.map(({ cell }) => escape(cell(row))))),
  ];
  return `# ${title}\n\n${protocolWords(protocol)}\n\n${lines.join("\n")}\n`;
}

/** A row on one line, for a terminal or a log. */
export function rowWords(row: Row): string {
  const { kl, top1 } = row;
  const words = [
    `perplexity ${significant(row.perplexity, 5)} (${row.ratio.toFixed(4)} of the first)`,
    ...kl === undefined ? [] : [`KL ${significant(kl, 3)}`],
    ...top1 === undefined ? [] : [`top-1 ${(100 * top1).toFixed(2)} %`],
    `${row.bitsPerWeight.toFixed(2)} bits per weight`,
    `${(row.weightBytes / 1e6).toFixed(1)} MB`,
    `${row.kvBytesPerToken} KV bytes per token`,
  ];
  return `${row.label}: ${words.join(", ")}`;
}

/** How the models were scored. */
export function protocolWords({ context, windows, id }: Comparison["protocol"]): string {
  return `${windows} windows of ${context} tokens (${id}). Ratios are to the first row; KL divergence and agreement of the likeliest token are against each model's baseline.`;
}

/** A number with so many digits that count, never with an exponent. */
function significant(value: number, digits: number): string {
  if (value === 0) return "0";
  const decimals = digits - 1 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.min(20, Math.max(0, decimals)));
}
