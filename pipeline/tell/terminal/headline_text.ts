import type { Headline } from "../../description.ts";
import { plainText } from "../../words.ts";
import { foldTable } from "./columns.ts";
import { COLORS, type Paint } from "./screen.ts";
import { wrapText } from "./text_width.ts";

/** Columns where nobody knows how many there are. */
const PIPE_COLUMNS = 100;

/** A headline within the columns of a terminal, or of a usual page in a pipe. */
export function headlineText(
  { title, lines = [], table, notes = [] }: Headline,
  { columns, paint }: { readonly columns: number; readonly paint: Paint },
): string {
  const width = columns > 0 ? columns : PIPE_COLUMNS;
  const wrapped = (texts: readonly string[]) =>
    texts.flatMap((text) => wrapText(plainText(text), width));
  const [headings, ...rows] = table
    ? foldTable({ ...table, rows: table.rows.map((row) => row.map(plainText)) }, width)
    : [];
  const shown = [
    paint(plainText(title), COLORS.hit),
    ...wrapped(lines),
    ...headings === undefined ? [] : [paint(headings, COLORS.note)],
    ...rows,
    ...notes.length > 0 ? ["", ...wrapped(notes)] : [],
  ];
  return `${shown.join("\n")}\n`;
}
