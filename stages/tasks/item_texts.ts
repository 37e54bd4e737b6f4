import { RowTemplate } from "../jinja/row_template.ts";
import { TemplateError } from "../jinja/template_error.ts";
import { changedText } from "./changed_text.ts";
import type { TaskFile } from "./task_file.ts";
import type { TaskRow } from "./task_rows.ts";

/** What a row says, as a task lays it out. */
export interface ItemTexts {
  /** Contexts: one, or one for each choice. */
  readonly contexts: readonly string[];
  /** What may follow; one where contexts differ, none where an answer is generated. */
  readonly choices: readonly string[];
  /** The right one of the choices. */
  readonly gold: number | undefined;
  /** The right answer, or what is to be continued with. */
  readonly target: string;
  /** All right answers. */
  readonly answers: readonly string[];
  /** What words and bytes are counted of. */
  readonly counted: string;
}

/** Lays out rows of a task; a row that does not fit is refused with its place and the field. */
export class ItemLayout {
  readonly #task: TaskFile;
  readonly #variables: Readonly<Record<string, string>>;
  readonly #contexts: readonly RowTemplate[];
  readonly #choices: RowTemplate | readonly RowTemplate[] | undefined;
  readonly #target: RowTemplate;
  readonly #answers: RowTemplate | undefined;
  readonly #counted: RowTemplate | undefined;
  /** What stands before everything. */
  readonly description: string;

  /** Throws a `TypeError` where a template cannot be read. */
  constructor(name: string, task: TaskFile, variables: Readonly<Record<string, string>>) {
    const read = (key: string, source: string) => {
      try {
        return new RowTemplate(source);
      } catch (cause) {
        if (!(cause instanceof TemplateError)) throw cause;
        throw new TypeError(
          `Cannot use ${key} of task "${name}": ${cause.message}, expected a template in Jinja`,
          { cause },
        );
      }
    };
    this.#task = task;
    this.#variables = variables;
    const { doc_to_text: text, doc_to_choice: choices, doc_to_target: target } = task;
    this.#contexts = [text].flat().map((each) => read("doc_to_text", each));
    this.#choices = Array.isArray(choices)
      ? choices.map((each) => read("doc_to_choice", each))
      : choices === undefined
      ? undefined
      : read("doc_to_choice", choices);
    this.#target = read("doc_to_target", target);
    this.#answers = task.answers === undefined ? undefined : read("answers", task.answers);
    this.#counted = task.counted === undefined ? undefined : read("counted", task.counted);
    this.description = read("description", task.description).text(variables);
  }

  /** What a row says; throws a `TypeError` that names the row and what is wrong with it. */
  texts({ fields, at }: TaskRow): ItemTexts {
    const row = { ...fields, ...this.#variables };
    const made = <T>(key: string, make: () => T): T => {
      try {
        return make();
      } catch (cause) {
        if (!(cause instanceof TemplateError)) throw cause;
        throw new TypeError(
          `Cannot make ${key} of ${at}: ${cause.message}, expected it to be in the row; there are ${
            Object.keys(fields).join(", ") || "no fields"
          }`,
          { cause },
        );
      }
    };
    const changed = (text: string) => changedText(text, this.#task.substitute);
    const contexts = this.#contexts.map((each) =>
      changed(made("doc_to_text", () => each.text(row)))
    );
    const choices = this.#choicesOf(row, made).map(changed);
    const target = changed(made("doc_to_target", () => this.#target.text(row)));
    const answers = this.#answers ? made("answers", () => this.#answers!.list(row)) : [target];
    const gold = this.#goldOf(target, { contexts, choices, at });
    const counted = this.#counted ? made("counted", () => this.#counted!.text(row)) : target;
    return { contexts, choices, gold, target, answers, counted };
  }

  #choicesOf(
    row: Readonly<Record<string, unknown>>,
    made: <T>(key: string, make: () => T) => T,
  ): string[] {
    const choices = this.#choices;
    if (choices === undefined) return [];
    return made("doc_to_choice", () => {
      if (!(choices instanceof RowTemplate)) return choices.map((each) => each.text(row));
      return this.#contexts.length > 1 ? [choices.text(row)] : choices.list(row);
    });
  }

  #goldOf(
    target: string,
    { contexts, choices, at }: Pick<ItemTexts, "contexts" | "choices"> & { readonly at: string },
  ): number | undefined {
    if (this.#choices === undefined) return undefined;
    const count = contexts.length > 1 ? contexts.length : choices.length;
    const empty = choices.findIndex((choice) => choice === "");
    const problem = count < 2
      ? `there are ${count} choices, expected at least 2`
      : empty >= 0
      ? `choice ${empty} is empty, expected a text`
      : !/^\d+$/.test(target) || Number(target) >= count
      ? `doc_to_target gives "${target}", expected the number of a choice below ${count}`
      : undefined;
    if (problem === undefined) return Number(target);
    throw new TypeError(`Cannot use ${at}: ${problem}`);
  }
}
