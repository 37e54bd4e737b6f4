import { deepStrictEqual } from "node:assert/strict";
import {
  count,
  escapeMarkup,
  formatBytes,
  millions,
  percent,
  progressWords,
  shortNumber,
  significant,
} from "../../pipeline/words.ts";

Deno.test("numbers read the same wherever they are told", () => {
  deepStrictEqual([0, 512, 1_300_000_000, 110e6, 999_600].map(formatBytes), [
    "0 B",
    "512 B",
    "1.3 GB",
    "110 MB",
    "1.0 MB",
  ]);
  deepStrictEqual([millions(7_310_000), millions(7_310_000, 0)], ["7.3", "7"]);
  deepStrictEqual([percent(0.97531, 2), percent(1, 1)], ["97.53", "100.0"]);
  deepStrictEqual([0, 0.5, 0.99999, 1].map(progressWords), ["0 %", "50 %", "99 %", "100 %"]);
  deepStrictEqual([count(1, "step"), count(0, "step"), count(2, "entry", "entries")], [
    "1 step",
    "0 steps",
    "2 entries",
  ]);
});

Deno.test("digits that count are all there, or none in vain, and never an exponent", () => {
  deepStrictEqual([2, 0, 123456.7, 0.0123456, 1.2e-9].map((value) => significant(value, 3)), [
    "2.00",
    "0",
    "123457",
    "0.0123",
    "0.00000000120",
  ]);
  deepStrictEqual([2, 0.1 + 0.2, 1.23456].map((value) => shortNumber(value, 3)), [
    "2",
    "0.3",
    "1.23",
  ]);
});

Deno.test("markup is told from text in elements and in attributes", () => {
  deepStrictEqual(escapeMarkup(`<a b="c & d">'`), "&lt;a b=&quot;c &amp; d&quot;&gt;'");
});
