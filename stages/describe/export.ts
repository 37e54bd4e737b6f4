import type { DescribeOptions, Description, Figure, Section } from "../../pipeline/description.ts";
import { FORMATS } from "../exchange/find_format.ts";
import { GGUF_FILE } from "../exchange/gguf/reading.ts";
import { type Provenance, readProvenance, scoreWords } from "../exchange/provenance.ts";
import { describeGguf } from "./gguf.ts";
import { describeModelDirectory } from "./model.ts";

/** Facts of the model's own description that are true of any format's files. */
const SIZES = ["parameters", "weights", "file", "bits per weight"];
/** Its sections that are, too. */
const SECTIONS = ["Architecture", "Tokenizer", "Element types"];

/** Describes an export: what it is, how engines are started on it, what it scored. */
export async function describeExport(
  directory: string,
  options: DescribeOptions,
): Promise<Description> {
  const provenance = await readProvenance(directory).catch((error: Error) => error);
  // Other programs use the file's name too.
  if (provenance instanceof Error || provenance?.producer !== "quattuor") {
    const model = await describeModelDirectory(directory, options);
    const more = provenance instanceof Error ? [provenance.message] : [];
    return { ...model, warnings: [...more, ...model.warnings] };
  }
  const { format, scheme, ignored, model, recipe, calibration } = provenance;
  const files = await filesOf(directory, options);
  const sizes = (files.sections.find(({ title }) => title === "Model")?.facts ?? [])
    .filter(([name]) => SIZES.includes(name));
  const about = FORMATS[format]?.about ?? "a format that this version does not know";
  return {
    title: `${format} export of ${scheme}`,
    sections: [
      {
        title: "Export",
        facts: [
          ["format", `${format}: ${about}`],
          ["scheme", scheme],
          ...ignored.length > 0 ? [["left out", ignored.join(", ")] as const] : [],
          ...sizes,
          ["of model", model],
          ["recipe", recipe.digest],
          ...calibration
            ? [
              [
                "calibrated on",
                `${calibration.windows} windows of ${calibration.context} tokens`,
              ] as const,
            ]
            : [],
        ],
      },
      {
        title: "Recipe",
        lines: recipe.stages.map(({ stage, params }) => `${stage} ${JSON.stringify(params)}`),
      },
      enginesSection(provenance),
      ...scoresSection(provenance),
      ...files.sections.filter(({ title }) => SECTIONS.includes(title)),
    ],
    warnings: files.warnings,
    variant: `${format} ${scheme}`,
    figures: figuresOf(provenance, sizes),
  };
}

async function filesOf(directory: string, options: DescribeOptions): Promise<Description> {
  const gguf = `${directory}/${GGUF_FILE}`;
  const isGguf = await Deno.stat(gguf).then(() => true, () => false);
  return isGguf
    ? await describeGguf(gguf, options)
    : await describeModelDirectory(directory, options);
}

function enginesSection({ engines }: Provenance): Section {
  const columns = [{ heading: "engine" }, { heading: "command" }];
  return {
    title: "Engines",
    table: { columns, rows: engines.map(({ engine, command }) => [engine, command]) },
    lines: engines.flatMap(({ engine, limits }) => limits.map((limit) => `${engine}: ${limit}`)),
  };
}

function scoresSection({ scores }: Provenance): Section[] {
  if (scores.length === 0) return [];
  const columns = [
    { heading: "protocol" },
    { heading: "windows", number: true },
    { heading: "tokens", number: true },
    { heading: "scores" },
  ];
  const rows = scores.map(({ protocol: { id, windows, context }, scores }) => [
    id,
    String(windows),
    String(context),
    scoreWords(scores),
  ]);
  return [{ title: "Scores", table: { columns, rows } }];
}

/** The figures that reports plot: the last perplexity, and bits a weight. */
function figuresOf({ scores }: Provenance, sizes: NonNullable<Section["facts"]>): Figure[] {
  const perplexity = scores.at(-1)?.scores.perplexity;
  const bits = Number.parseFloat(sizes.find(([name]) => name === "bits per weight")?.[1] ?? "");
  return [
    ...perplexity === undefined ? [] : [
      {
        name: "Perplexity",
        value: perplexity,
        text: perplexity.toPrecision(5),
        axis: "quality",
      } as const,
    ],
    ...Number.isNaN(bits) ? [] : [
      {
        name: "Bits per weight",
        value: bits,
        text: bits.toFixed(2),
        axis: "size",
      } as const,
    ],
  ];
}
