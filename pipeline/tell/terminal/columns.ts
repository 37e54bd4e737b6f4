import { padText, textWidth } from "./text_width.ts";

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
