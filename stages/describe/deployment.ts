import type { DescribeOptions, Description, Section } from "../../pipeline/description.ts";
import { millions } from "../../pipeline/words.ts";
import { sharedWords, spacedWords } from "../report/continuations.ts";
import { DEPLOYED_MODEL, type Deployment, readDeployment } from "../report/deployment.ts";
import { describeModelDirectory } from "./model.ts";

/** Sections of the model's own description that tell what is served. */
const SECTIONS = ["Architecture", "Tokenizer"];

/** Describes a deployment: which model, how it is served, what it answered. */
export async function describeDeployment(
  directory: string,
  options: DescribeOptions,
): Promise<Description> {
  const deployment = await readDeployment(directory);
  const { model, digests, served, ends, quality, answers } = deployment;
  const files = await describeModelDirectory(`${directory}/${DEPLOYED_MODEL}`, options);
  return {
    title: `deployment of ${model.scheme}`,
    sections: [
      {
        title: "Deployment",
        facts: [
          ["scheme", model.scheme],
          ["model", model.digest],
          ["tokenizer", digests.tokenizer],
          ["chat template", digests.chatTemplate ?? "none"],
          ["weights", `${millions(model.bytes)} MB`],
          ["KV bytes per token", String(model.kvBytesPerToken)],
          ["ends of answers", ends.map(({ id, token }) => `${token} (${id})`).join(", ") || "none"],
          ...quality
            ? [
              ["perplexity", `${quality.perplexity.toPrecision(5)} (${quality.protocol})`] as const,
              ...quality.baseline === undefined
                ? []
                : [["in full precision", quality.baseline.toPrecision(5)] as const],
            ]
            : [],
        ],
      },
      {
        title: "How it is served",
        facts: [
          ...Object.entries(served).map(fact),
          ...(deployment.adapters ?? [])
            .map(({ name, digest }) => ["adapter", `${name}, ${digest}`] as const),
        ],
      },
      answersSection(answers),
      ...files.sections.filter(({ title }) => SECTIONS.includes(title)),
    ],
    warnings: files.warnings,
    variant: model.scheme,
    figures: files.figures ?? [],
    headline: answersSection(answers),
  };
}

function fact([name, value]: readonly [string, unknown]): readonly [string, string] {
  const said = Array.isArray(value) ? value.join(", ") || "none" : String(value);
  return [name, said.length > 200 ? `${said.slice(0, 200)}…` : said];
}

/** Answers, beside those of full precision where there are any. */
function answersSection({ texts, baseline, tokens }: Deployment["answers"]): Section {
  const columns = ["prompt", "answer", ...baseline ? [`${baseline.scheme} answers`] : []];
  const alike = texts.flatMap(({ answer, baseline: full }) =>
    full === undefined ? [] : [`${sharedWords(answer, full)} of ${spacedWords(full).length}`]
  );
  return {
    title: `Answers of at most ${tokens} tokens`,
    table: {
      columns: columns.map((heading) => ({ heading })),
      rows: texts.map(({ prompt, answer, baseline: full }) => [
        prompt,
        answer,
        ...full === undefined ? [] : [full],
      ]),
    },
    ...alike.length > 0 &&
      { notes: [`words alike before the first that differs: ${alike.join(", ")}`] },
  };
}
