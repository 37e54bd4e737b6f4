import type { ArtifactRecord } from "../../artifact.ts";
import type { Describe, DescribeOptions, Description, Section } from "../../description.ts";
import { messageOf } from "../../errors.ts";
import { readRecord, recordBytes } from "../../store/record.ts";
import { formatBytes, formatScores, formatSeconds } from "../../words.ts";
import { readMakers } from "./makers.ts";
import { documentSection, documentWords, inputsSection, short } from "./key_document.ts";
import type { Named } from "./named.ts";

/** An artifact's own words about itself, and what the program finds in its files. */
export async function describeArtifact(
  target: Named & { readonly what: "artifact" },
  { describe, ...options }: DescribeOptions & { readonly describe: Describe | undefined },
): Promise<Description & { readonly record?: ArtifactRecord }> {
  const { key, path, store, file } = target;
  const found = await lookAt(target);
  if (!("record" in found)) {
    const facts = [["path", path], ["state", found.state]] as const;
    const title = `Artifact ${short(key)} that cannot be used`;
    return {
      title,
      sections: [{ title: "Artifact", facts }],
      warnings: [found.state],
    };
  }
  const { record, state, warnings } = found;
  const makers = store && await readMakers(store);
  const inner = await describeFiles(path, { ...options, describe, kind: record.kind });
  const steps = makers?.steps(key) ?? [];
  const one = file === undefined ? undefined : record.files.find(({ path }) => path === file);
  const sections: Section[] = [
    ...file === undefined ? [] : [{
      title: "This file",
      facts: one
        ? [["name", one.path], ["size", formatBytes(one.size)], ["sha256", one.sha256]] as const
        : [["name", `${file}, which the record does not know`]] as const,
    }],
    {
      title: "Artifact",
      facts: [
        ["kind", record.kind],
        ["key", key],
        ["digest", record.digest],
        ["state", state],
        ["path", path],
        ...steps.length > 0 ? [["made for", steps.join(", ")] as const] : [],
        ["created", record.created],
        ["took", formatSeconds(record.seconds)],
        ...record.metrics?.adapter ? [["made on", record.metrics.adapter] as const] : [],
        ["size", formatBytes(recordBytes(record))],
        ...Object.keys(record.scores).length > 0
          ? [["scores", formatScores(record.scores)] as const]
          : [],
      ],
    },
    documentSection(record.recipe),
    ...inputsSection(record.recipe, makers),
    ...record.notes.length > 0
      ? [{ title: "Notes", lines: record.notes.map(({ text }) => text) }]
      : [],
  ];
  const own = inner?.title ? `${record.kind}: ${inner.title}` : `a ${record.kind}`;
  return {
    title: `${own} (${documentWords(record.recipe)})`,
    sections: [...sections, ...inner?.sections ?? [], filesSection(record)],
    warnings: [...warnings, ...inner?.warnings ?? []],
    ...inner?.figures && { figures: inner.figures },
    record,
  };
}

/** What the program finds in a place; what it cannot read is a warning. */
export async function describeFiles(
  path: string,
  { describe, ...options }: DescribeOptions & { readonly describe: Describe | undefined },
): Promise<Description | undefined> {
  try {
    return await describe?.(path, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    return { title: "", sections: [], warnings: [messageOf(error)] };
  }
}

type Look =
  | { readonly state: string }
  | {
    readonly record: ArtifactRecord;
    readonly state: string;
    readonly warnings: readonly string[];
  };

async function lookAt({ key, path, store }: Named & { readonly what: "artifact" }): Promise<Look> {
  const found = await store?.inspect(key);
  if (found?.state === "whole") {
    return { record: found.stored.record, state: "whole", warnings: [] };
  }
  const read = await readRecord(path, key);
  if ("why" in read) return { state: `damaged: ${read.why}` };
  const { record } = read;
  if (found?.state !== "damaged") return { record, state: "not in a store", warnings: [] };
  return { record, state: "damaged", warnings: [`It is damaged: ${found.why}`] };
}

function filesSection({ files }: ArtifactRecord): Section {
  const columns = [{ heading: "file" }, { heading: "bytes", number: true }, { heading: "sha256" }];
  const rows = files.map(({ path, size, sha256 }) => [path, String(size), short(sha256)]);
  return { title: "Files", table: { columns, rows } };
}
