/** Digits behind the point where there are bounds. */
export const PLACES = 6;

/** The largest bound, and the most that an integer without bounds reaches. */
export const MOST = 999_999_999_999_999;

/** Integers from one to another, both within, as EBNF; none where there are none. */
export function integerRule(least = -MOST, most = MOST): string | undefined {
  const parts: string[] = [];
  if (least < 0) {
    const below = wholes(Math.max(1, -most), -least);
    if (below !== undefined) parts.push(`"-" ${below}`);
  }
  const above = wholes(Math.max(0, least), most);
  if (above !== undefined) parts.push(above);
  return parts.length === 0 ? undefined : `(${parts.join(" | ")})`;
}

/** Numbers with at most six digits behind the point, from one to another; none where there are none. */
export function numberRule(least = -MOST, most = MOST): string | undefined {
  const parts: string[] = [];
  if (least < 0) {
    const below = fractions(Math.max(0, -most), -least);
    if (below !== undefined) parts.push(`"-" ${below}`);
  }
  const above = most < 0 ? undefined : fractions(Math.max(0, least), most);
  if (above !== undefined) parts.push(above);
  return parts.length === 0 ? undefined : `(${parts.join(" | ")})`;
}

function wholes(least: number, most: number): string | undefined {
  if (least > most) return undefined;
  const parts: string[] = [];
  for (let length = String(least).length; length <= String(most).length; length++) {
    const first = Math.max(least, length === 1 ? 0 : 10 ** (length - 1));
    const last = Math.min(most, 10 ** length - 1);
    if (first <= last) parts.push(sameLength(String(first), String(last)));
  }
  return `(${parts.join(" | ")})`;
}

/** Digits as many as those of both bounds. */
function sameLength(first: string, last: string): string {
  if (first === "") return '""';
  const [low, high] = [Number(first[0]), Number(last[0])];
  const rest = first.length - 1;
  if (/^0*$/.test(first.slice(1)) && /^9*$/.test(last.slice(1))) {
    return `${digit(low, high)}${rest > 0 ? ` [0-9]{${rest}}` : ""}`;
  }
  if (low === high) return `${digit(low, low)} (${sameLength(first.slice(1), last.slice(1))})`;
  const parts = [`${digit(low, low)} (${sameLength(first.slice(1), "9".repeat(rest))})`];
  if (high - low > 1) parts.push(`${digit(low + 1, high - 1)} [0-9]{${rest}}`);
  parts.push(`${digit(high, high)} (${sameLength("0".repeat(rest), last.slice(1))})`);
  return parts.join(" | ");
}

/** Numbers that are not negative; bounds are rounded inwards to as many places as there are. */
function fractions(least: number, most: number): string | undefined {
  const [first, low] = split(least, { up: true });
  const [last, high] = split(most, { up: false });
  if (first > last || (first === last && low > high)) return undefined;
  const any = `("." [0-9]{1,${PLACES}})?`;
  if (first === last) return `"${first}" ${behind(low, high)}`;
  const parts = [`"${first}" ${behind(low, "9".repeat(PLACES))}`];
  const between = wholes(first + 1, last - 1);
  if (between !== undefined) parts.push(`${between} ${any}`);
  parts.push(`"${last}" ${behind("0".repeat(PLACES), high)}`);
  return `(${parts.join(" | ")})`;
}

/** A number's whole part, and its digits behind the point. */
function split(value: number, { up }: { readonly up: boolean }): readonly [number, string] {
  // Written out with all its digits: 0.1 times a million is not a whole number.
  const [whole = "0", rest = ""] = plain(value).split(".");
  const cut = rest.slice(0, PLACES).padEnd(PLACES, "0");
  if (!up || /^0*$/.test(rest.slice(PLACES))) return [Number(whole), cut];
  const raised = String(Number(cut) + 1).padStart(PLACES, "0");
  return raised.length > PLACES ? [Number(whole) + 1, raised.slice(1)] : [Number(whole), raised];
}

function plain(value: number): string {
  const text = String(value);
  return text.includes("e") ? value.toFixed(20) : text;
}

/** Point and digits between two rows of digits, shorter ones standing for zeros behind them. */
function behind(low: string, high: string): string {
  const none = /^0*$/.test(low);
  const some = `"." (${places(low, high, true)})`;
  return none ? `(${some})?` : some;
}

function places(low: string, high: string, first = false): string {
  if (low === "") return '""';
  const [least, most] = [Number(low[0]), Number(high[0])];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  const rest = lowRest.length;
  const parts: string[] = [];
  if (!first && /^0*$/.test(low)) parts.push('""');
  const any = rest > 0 ? ` [0-9]{0,${rest}}` : "";
  const [zeros, nines] = [/^0*$/.test(lowRest), /^9*$/.test(highRest)];
  if (least === most) {
    parts.push(`${digit(least, least)} (${places(lowRest, highRest)})`);
    return parts.join(" | ");
  }
  const [from, to] = [zeros ? least : least + 1, nines ? most : most - 1];
  if (!zeros) parts.push(`${digit(least, least)} (${places(lowRest, "9".repeat(rest))})`);
  if (from <= to) parts.push(`${digit(from, to)}${any}`);
  if (!nines) parts.push(`${digit(most, most)} (${places("0".repeat(rest), highRest)})`);
  return parts.join(" | ");
}

function digit(first: number, last: number): string {
  return first === last ? `"${first}"` : `[${first}-${last}]`;
}
