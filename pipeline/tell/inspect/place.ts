import { basename, join } from "node:path";
import type { Description } from "../../description.ts";
import { recordBytes, statedRecord } from "../../store/record.ts";
import { allRuns } from "../../store/runs.ts";
import type { Store } from "../../store/store.ts";
import { entriesOf } from "../../store/directories.ts";
import { count, formatBytes } from "../../words.ts";
import type { Named } from "./named.ts";

/** What a store holds, by kind. */
export async function describeStore(store: Store): Promise<Description> {
  const kinds = new Map<string, { number: number; bytes: number }>();
  for (const key of await store.keys()) {
    const record = await statedRecord(join(store.path, "artifacts", key));
    const kind = record.kind ?? "without a record";
    const before = kinds.get(kind) ?? { number: 0, bytes: 0 };
    kinds.set(kind, { number: before.number + 1, bytes: before.bytes + recordBytes(record) });
  }
  const number = [...kinds.values()].reduce((sum, one) => sum + one.number, 0);
  const runs = await allRuns(store.path);
  const counts = await Promise.all(
    ["journal", "quarantine"].map(async (name) =>
      [name, String((await namesIn(join(store.path, name))).length)] as const
    ),
  );
  const columns = [
    { heading: "kind" },
    { heading: "artifacts", number: true },
    { heading: "size", number: true },
  ];
  const rows = [...kinds].map(([kind, { number, bytes }]) => [
    kind,
    String(number),
    formatBytes(bytes),
  ]);
  return {
    title: `store of ${count(number, "artifact")} and ${count(runs.length, "run")}`,
    sections: [
      {
        title: "Store",
        facts: [
          ["path", store.path],
          ["runs", String(runs.length)],
          ...runs[0] ? [["last run", `${runs[0].id} of ${runs[0].manifest}`] as const] : [],
          ...counts,
        ],
      },
      { title: "Artifacts", table: { columns, rows } },
    ],
    warnings: [],
  };
}

/** What is kept of an artifact whose making was interrupted. */
export async function describeJournal(
  { key, path }: Named & { readonly what: "journal" },
): Promise<Description> {
  const entries = await namesIn(path);
  const rows = await Promise.all(entries.map(async (name) => {
    const { size, mtime } = await Deno.stat(join(path, name));
    return [name, formatBytes(size), mtime?.toISOString() ?? ""];
  }));
  const columns = [{ heading: "entry" }, { heading: "size", number: true }, { heading: "written" }];
  return {
    title: `journal of ${count(entries.length, "entry", "entries")}`,
    sections: [
      { title: "Journal", facts: [["key", key], ["path", path]] },
      { title: "Entries", table: { columns, rows } },
    ],
    warnings: [],
  };
}

/** A file or directory of which nothing is known. */
export async function describePlace(path: string): Promise<Description> {
  const { isDirectory, size } = await Deno.stat(path);
  const facts = isDirectory
    ? [["path", path], ["entries", String((await namesIn(path)).length)]] as const
    : [["path", path], ["size", formatBytes(size)]] as const;
  const what = isDirectory ? "directory" : "file";
  return {
    title: `${basename(path)}: a ${what} that is nothing this program knows`,
    sections: [{ title: what === "file" ? "File" : "Directory", facts }],
    warnings: [],
  };
}

async function namesIn(path: string): Promise<string[]> {
  return (await entriesOf(path)).map(({ name }) => name).sort();
}
