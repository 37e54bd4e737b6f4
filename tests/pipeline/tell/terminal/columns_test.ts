import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { fittingTable } from "../../../../pipeline/tell/terminal/columns.ts";

const COLUMNS = [
  { heading: "model" },
  { heading: "size", number: true },
  { heading: "group" },
  { heading: "about" },
];
const ROWS = [
  ["some-owner/some-long-model", "1.2 GB", "", "what it is good for, in some words"],
  ["other/model", "900 kB", "", "small"],
];

Deno.test("a table that is too wide loses empty columns, then folds between words, never in a number", () => {
  const wide = fittingTable({ columns: COLUMNS, rows: ROWS }, 100);
  strictEqual(wide[0]?.includes("group"), true);
  deepStrictEqual(fittingTable({ columns: COLUMNS, rows: ROWS }, 56), [
    "model                         size  about",
    "some-owner/some-long-model  1.2 GB  what it is good for,",
    "                                    in some words",
    "other/model                 900 kB  small",
  ]);
});

Deno.test("where not even words fit beside each other, each cell has a line behind its heading", () => {
  deepStrictEqual(fittingTable({ columns: COLUMNS, rows: ROWS }, 30), [
    "some-owner/some-long-model",
    "  size: 1.2 GB",
    "  about: what it is good for,",
    "  in some words",
    "other/model",
    "  size: 900 kB",
    "  about: small",
  ]);
});
