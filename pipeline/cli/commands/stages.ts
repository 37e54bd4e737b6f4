import { suggestion } from "../../manifest/nearest.ts";
import { parametersSchema } from "../../manifest/schema.ts";
import { type ParameterRow, parameterRows } from "../../manifest/parameter_rows.ts";
import type { AnyStage } from "../../stage.ts";
import { foldTable } from "../../tell/terminal/columns.ts";
import { COLORS, type Paint, painter } from "../../tell/terminal/screen.ts";
import { wrapText } from "../../tell/terminal/text_width.ts";
import { UsageError } from "../told_error.ts";
import { defineCommand, stagesOf } from "../command.ts";

/** Columns where nobody knows how many there are. */
const PIPE_COLUMNS = 80;

/** Lists the stages, or says what one of them takes, makes and may be told. */
export const stages = defineCommand({
  words: [["[stage]", "its name, such as quantize; all unless said"]],
  async run({ program, screen, flags, words: [asked] }) {
    const all = Object.entries(await stagesOf(program));
    const found = asked === undefined ? all : all.filter(([name]) => name === asked);
    if (found.length === 0) {
      const names = all.map(([name]) => name);
      throw new UsageError(
        `Cannot tell of stage "${asked}": there is none, ${suggestion(asked!, names)}`,
      );
    }
    const style = { width: screen.columns || PIPE_COLUMNS, paint: painter(screen) };
    screen.write(
      flags.json
        ? found.map(([name, stage]) => line(name, stage)).join("")
        : asked === undefined
        ? listText(all, style)
        : found.map(([name, stage]) => stageText(name, stage, style)).join("\n"),
    );
    return 0;
  },
});

interface Style {
  readonly width: number;
  readonly paint: Paint;
}

function line(name: string, stage: AnyStage): string {
  const { about, version, inputs, output } = stage;
  const facts = { type: "stage", name, about, version, inputs, output };
  return `${JSON.stringify({ ...facts, params: parametersSchema(stage) })}\n`;
}

function listText(all: readonly (readonly [string, AnyStage])[], { width, paint }: Style): string {
  const columns = ["stage", "makes", "about"].map((heading) => ({ heading }));
  const rows = all.map(([name, { output, about }]) => [name, output, about]);
  const [heading = "", ...lines] = foldTable({ columns, rows }, width);
  const more = "deno task stages NAME says what one takes and may be told";
  return [paint(heading, COLORS.note), ...lines, "", more, ""].join("\n");
}

function stageText(name: string, stage: AnyStage, { width, paint }: Style): string {
  const inputs = Object.entries(stage.inputs as Readonly<Record<string, string>>)
    .map(([input, kind]) => input === kind ? kind : `${input}: ${kind}`);
  const head = `${name}: ${[inputs.join(", "), stage.output].filter(Boolean).join(" → ")}`;
  const lines = [
    ...wrapText(head, width),
    ...indented(stage.about, { width, by: 2 }),
    ...parameterRows(stage).flatMap((row) => ["", ...rowLines(row, { width, paint })]),
  ];
  return `${lines.join("\n")}\n`;
}

function rowLines(row: ParameterRow, { width, paint }: Style): string[] {
  const usual = row.needed
    ? ", needed"
    : row.usual === undefined
    ? ""
    : `, ${row.usual} unless said`;
  const [first = "", ...rest] = indented(`${row.path}: ${row.type}${usual}`, { width, by: 2 });
  return [
    first.replace(row.path, paint(row.path, COLORS.hit)),
    ...rest.map((text) => `  ${text}`),
    ...row.about === "" ? [] : indented(row.about, { width, by: 6 }),
  ];
}

function indented(text: string, { width, by }: { readonly width: number; readonly by: number }) {
  // Lines that go on may stand two columns further in.
  return wrapText(text, width - by - 2).map((part) => " ".repeat(by) + part);
}
