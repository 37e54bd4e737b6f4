/** A time as people say it: `0.4 s`, `12 s`, `4 min 5 s`, `3 h 12 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A size as people say it: `512 B`, `1.3 GB`, `110 MB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  const digits = unit === 0 || value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** A number in millions: bytes as megabytes, `7.3`, or parameters. */
export function millions(value: number, decimals = 1): string {
  return (value / 1e6).toFixed(decimals);
}

/** A share as a percentage, without its sign; nothing is "-0.00". */
export function percent(share: number, decimals: number): string {
  return (100 * share).toFixed(decimals).replace(/^-(?=0\.?0*$)/, "");
}

/** How much is done, rounded down: `99 %` until all is. */
export function progressWords(share: number): string {
  return `${Math.floor(share * 100 + 1e-9)} %`;
}

/** A number with so many digits that count, zeros at its end too, and never with an exponent. */
export function significant(value: number, digits: number): string {
  if (value === 0) return "0";
  const decimals = digits - 1 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.min(20, Math.max(0, decimals)));
}

/** A number with at most so many digits that count. */
export function shortNumber(value: number, digits: number): string {
  return String(Number(value.toPrecision(digits)));
}

/** Scores on one line, with six digits. */
export function formatScores(scores: Readonly<Record<string, number>>): string {
  return Object.entries(scores)
    .map(([name, score]) => `${name} ${shortNumber(score, 6)}`)
    .join(", ");
}

/** A number of things: `1 step`, `3 steps`. */
export function count(number: number, thing: string, things = `${thing}s`): string {
  return `${number} ${number === 1 ? thing : things}`;
}

/** A text as it stands in HTML, SVG or XML, in double quotes too. */
export function escapeMarkup(text: string): string {
  const names: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replaceAll(/[&<>"]/g, (letter) => names[letter] ?? letter);
}

/** A text on one line and without codes that move a terminal's cursor. */
export function plainText(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what is taken out
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "").trim();
}

/** Seconds since a `performance.now()`, to the millisecond. */
export function secondsSince(start: number): number {
  return Math.round(performance.now() - start) / 1000;
}
