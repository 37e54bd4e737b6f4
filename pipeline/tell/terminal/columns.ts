import type { Table } from "../../description.ts";
import { padText, textWidth, wrapText } from "./text_width.ts";

/** Between two columns. */
const GAP = 2;
/** Columns of a terminal below which texts are not put side by side. */
const NARROWEST = 14;

/** A part of a whole as a bar. */
export function bar(share: number, width: number): string {
  const full = Math.round(share * width);
  return `${"█".repeat(full)}${"░".repeat(width - full)}`;
}

/** Rows under their headings in columns; columns with numbers only are flush right. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const columns = headings.map((heading, i) => {
    const cells = rows.map((row) => row[i] ?? "");
    return {
      width: Math.max(textWidth(heading), ...cells.map(textWidth)),
      right: cells.length > 0 && cells.every((cell) => /^[\d.]+$/.test(cell)),
    };
  });
  return [headings, ...rows].map((row) =>
    columns.map(({ width, right }, i) => {
      const cell = row[i] ?? "";
      return right ? cell.padStart(width) : padText(cell, width);
    }).join("  ").trimEnd()
  ).join("\n");
}

/**
 * A table that stays within so many columns of a terminal: numbers keep their room, texts are wrapped
 * in what is left. Where that is too little, each cell has a line of its own behind its heading.
 */
export function foldTable({ columns, rows }: Table, width: number): string[] {
  const natural = columns.map(({ heading }, at) =>
    Math.max(textWidth(heading), ...rows.map((row) => textWidth(row[at] ?? "")))
  );
  const widths = fittedWidths(
    natural.map((width, at) => ({ width, firm: columns[at]!.number === true })),
    width,
  );
  if (!widths) {
    return rows.flatMap((row) =>
      columns.flatMap(({ heading }, at) =>
        row[at] ? wrapText(heading === "" ? row[at] : `${heading}: ${row[at]}`, width) : []
      )
    );
  }
  const line = (cells: readonly string[]) => {
    const wrapped = cells.map((cell, at) => wrapText(cell, widths[at]!));
    const height = Math.max(...wrapped.map(({ length }) => length));
    return Array.from({ length: height }, (_, row) =>
      columns.map(({ number }, at) => {
        const text = wrapped[at]?.[row] ?? "";
        return number ? text.padStart(widths[at]!) : padText(text, widths[at]!);
      }).join(" ".repeat(GAP)).trimEnd());
  };
  return [columns.map(({ heading }) => heading), ...rows].flatMap(line);
}

/** Widths that fit together: the widest texts give way first, evenly; undefined where none do. */
function fittedWidths(
  columns: readonly { readonly width: number; readonly firm: boolean }[],
  most: number,
): readonly number[] | undefined {
  const room = most - GAP * (columns.length - 1);
  const sum = (widths: readonly number[]) => widths.reduce((all, width) => all + width, 0);
  const natural = columns.map(({ width }) => width);
  if (sum(natural) <= room) return natural;
  const softWidths = columns.filter(({ firm }) => !firm).map(({ width }) => width);
  for (let cap = Math.max(0, ...softWidths); cap >= NARROWEST; cap--) {
    const widths = columns.map(({ width, firm }) => firm ? width : Math.min(width, cap));
    if (sum(widths) <= room) return widths;
  }
  return undefined;
}
