import { type Provenance, scoreWords } from "./provenance.ts";

/** The model card of an export: what it is, how engines are started on it, what it scored. */
export function readme(
  { format, scheme, recipe, calibration, scores, engines, ignored, model }: Provenance,
  about: string,
): string {
  const list = (items: readonly string[]) => items.map((item) => `- ${item}`).join("\n");
  const sections = [
    "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- quattuor\n" +
    `- ${format.replaceAll("_", "-")}\n---`,
    `# ${scheme}`,
    `${about} Made by Quattuor from the model with content digest \`${model}\`; ` +
    "`provenance.json` has every parameter.",
    ...ignored.length > 0 ? [`Not part of this export: ${ignored.join(", ")}.`] : [],
    "## Run it",
    ...engines.map(({ engine, command, limits }) =>
      [`${engine}:`, `\`\`\`\n${command}\n\`\`\``, ...limits.length > 0 ? [list(limits)] : []]
        .join("\n\n")
    ),
    "## Recipe",
    list(
      recipe.stages.length > 0
        ? recipe.stages.map(({ stage, params }) => `${stage} \`${JSON.stringify(params)}\``)
        : ["as it was loaded"],
    ),
    `Recipe digest \`${recipe.digest}\`.`,
    ...calibration
      ? [
        `Calibrated on ${calibration.windows} windows of ${calibration.context} tokens ` +
        `(content digest \`${calibration.tokens}\`).`,
      ]
      : [],
    ...scores.length > 0 ? ["## Scores", scoresTable(scores)] : [],
  ];
  return `${sections.join("\n\n")}\n`;
}

function scoresTable(scores: Provenance["scores"]): string {
  const rows = scores.map(({ protocol, scores }) => {
    const { id, windows, context } = protocol;
    return `| ${id} | ${windows} x ${context} | ${scoreWords(scores)} |`;
  });
  return ["| protocol | windows x tokens | scores |", "| --- | --- | --- |", ...rows].join("\n");
}
