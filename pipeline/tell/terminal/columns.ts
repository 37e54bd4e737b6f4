import type { Table } from "../../description.ts";
import { padText, textWidth, wrapText } from "./text_width.ts";

/** Between two columns. */
const GAP = 2;
/** Words up to this are broken last. */
const LONG_WORD = 20;
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

/** A table in its own width where that is there, else folded, without the columns that are empty. */
export function fittingTable(table: Table, width: number): string[] {
  const lines = formatTable(table.columns.map(({ heading }) => heading), table.rows).split("\n");
  if (lines.every((line) => textWidth(line) <= width)) return lines;
  const told = table.columns.map((_, at) => table.rows.some((row) => row[at]));
  const kept = <T>(all: readonly T[]) => all.filter((_, at) => told[at]);
  return foldTable({ columns: kept(table.columns), rows: table.rows.map(kept) }, width);
}

/**
 * A table that stays within so many columns of a terminal: numbers keep their room, texts are wrapped
 * in what is left, between words where that is enough. Where it is too little, each cell has a line of
 * its own behind its heading.
 */
export function foldTable({ columns, rows }: Table, width: number): string[] {
  const natural = columns.map(({ heading }, at) =>
    Math.max(textWidth(heading), ...rows.map((row) => textWidth(row[at] ?? "")))
  );
  const all = natural.map((width, at) => ({
    width,
    firm: columns[at]!.number === true,
    word: longestWord([columns[at]!.heading, ...rows.map((row) => row[at] ?? "")]),
  }));
  const widths = fittedWidths(all, width);
  if (!widths) return rows.flatMap((row) => cellLines(columns, row, width));
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

/** The cells of a row below each other, behind their headings; all but the first stand in. */
function cellLines(
  columns: Table["columns"],
  row: readonly string[],
  width: number,
): string[] {
  const indent = " ".repeat(GAP);
  return columns.flatMap(({ heading }, at) => {
    const text = row[at] ?? "";
    if (text === "") return [];
    if (at === 0) return wrapText(text, width);
    const named = heading === "" ? text : `${heading}: ${text}`;
    return wrapText(named, width - GAP).map((line) => `${indent}${line}`);
  });
}

function longestWord(texts: readonly string[]): number {
  return Math.max(0, ...texts.flatMap((text) => text.split(" ").map(textWidth)));
}

/**
 * Widths that fit together: the widest texts give way first, evenly, and words are broken only where
 * nothing else helps; undefined where none do.
 */
function fittedWidths(
  columns: readonly { readonly width: number; readonly firm: boolean; readonly word: number }[],
  most: number,
): readonly number[] | undefined {
  const room = most - GAP * (columns.length - 1);
  const sum = (widths: readonly number[]) => widths.reduce((all, width) => all + width, 0);
  const natural = columns.map(({ width }) => width);
  if (sum(natural) <= room) return natural;
  const softWidths = columns.filter(({ firm }) => !firm).map(({ width }) => width);
  const capped = (least: number, of: (column: typeof columns[number], cap: number) => number) => {
    for (let cap = Math.max(0, ...softWidths); cap >= least; cap--) {
      const widths = columns.map((column) => column.firm ? column.width : of(column, cap));
      if (sum(widths) <= room) return widths;
    }
    return undefined;
  };
  const whole = (longest: number) =>
    capped(1, ({ width, word }, cap) => Math.max(Math.min(word, longest), Math.min(width, cap)));
  return whole(Infinity) ?? whole(LONG_WORD) ??
    capped(NARROWEST, ({ width }, cap) => Math.min(width, cap));
}
