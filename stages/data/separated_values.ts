/** A name of a column, in quotes or not; prose has spaces in its first line. */
const NAME = /^("[\w.-]+"|[\w.-]+)$/;

/**
 * What a text is where it is no text but rows of separated values: its suffix says so, or its first
 * line is names of columns and the next has as many fields at least.
 */
export function separatedValues(
  beginning: string,
  path: string,
): "CSV" | "TSV" | undefined {
  if (/\.csv(\.\w+)?$/i.test(path)) return "CSV";
  if (/\.tsv(\.\w+)?$/i.test(path)) return "TSV";
  const [header = "", next = ""] = beginning.split(/\r?\n/, 2);
  for (const separator of [",", "\t", ";"]) {
    const names = header.split(separator);
    if (names.length < 2 || !names.every((name) => NAME.test(name))) continue;
    if (new Set(names).size < names.length || !/[A-Za-z]/.test(names[0]!)) continue;
    // A field in quotes may hold separators and ends of lines.
    if (next.split(separator).length >= names.length || next.includes('"')) {
      return separator === "\t" ? "TSV" : "CSV";
    }
  }
  return undefined;
}
