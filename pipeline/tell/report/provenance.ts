import { fieldFacts, short } from "../inspect/key_document.ts";
import type { PagePart, RunReport, SourceText } from "./gather.ts";
import { factsHtml, tableHtml, wide } from "../html.ts";
import { escapeMarkup } from "../../words.ts";

/** What a run was made from and on: params, machine, keys and digests, the manifest's text. */
export function provenancePart({ run, store, steps, sources }: RunReport): PagePart {
  const { id, manifest, started, pid, environment, params, selected } = run;
  const columns = ["Step", "Stage", "Version", "Key", "Digest"].map((heading) => ({ heading }));
  const rows = steps.map(({ name, stage, recipe, key, digest }) => [
    name,
    stage,
    recipe ? String(recipe.version) : "",
    key ? short(key) : "",
    digest ? short(digest) : "",
  ]);
  const facts = fieldFacts(params, "");
  const html = [
    "<h3>Run</h3>",
    factsHtml([
      ["id", id],
      ["manifest", manifest],
      ["store", store],
      ["started", started],
      ["process", String(pid)],
      ...selected ? [["selected steps", selected.join(", ")] as const] : [],
      ...Object.entries(environment),
    ]),
    ...facts.length > 0 ? ["<h3>Params</h3>", factsHtml(facts)] : [],
    "<h3>Keys and digests</h3>",
    tableHtml({ columns, rows }, { label: "Keys and digests" }),
    ...sources.map(sourceHtml),
  ].join("\n");
  return { id: "provenance", title: "Environment and provenance", html };
}

function sourceHtml({ path, text, same }: SourceText): string {
  const told = text === undefined
    ? "It cannot be read any more."
    : same === undefined
    ? "As it is now; the record of the run does not tell whether it was the same then."
    : same
    ? "As the run has read it."
    : "As it is now: it was changed after the run has read it.";
  const code = text === undefined
    ? ""
    : wide(`<pre><code>${escapeMarkup(text)}</code></pre>`, path);
  return `<h3>${escapeMarkup(path)}</h3>\n<p>${told}</p>\n${code}`;
}
