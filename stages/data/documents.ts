import { type Dialogue, dialogueOf } from "./dialogue.ts";
import { refuseForeign } from "./foreign_content.ts";
import { type DataRow, jsonElements, jsonLines, type RowsLayout, rowsLayout } from "./json_rows.ts";
import { isParquet, openParquet } from "./parquet_rows.ts";
import { separatedValues } from "./separated_values.ts";
import { strictText } from "./strict_text.ts";
import { type Packing, readHead, unpackedChunks } from "./unpack.ts";

/** One text or conversation of a file, and where it stands. */
export interface TextDocument {
  readonly content: string | Dialogue;
  readonly at: string;
}

/** How to read a file of texts. */
export interface DocumentOptions {
  /** Field or column of the texts; `text` unless said, or where there is none, conversations. */
  readonly field?: string | undefined;
  /** How many will be asked for. */
  readonly documents?: number | undefined;
  /** Whether it is one text, though it may look like data. */
  readonly plain?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told how many bytes of the file have been read, of those that are read in order. */
  readonly read?: ((bytes: number) => void) | undefined;
}

/** A file whose form is known by what is in it. */
export interface DocumentFile extends AsyncDisposable {
  readonly form: "text" | RowsLayout | "parquet";
  readonly packing: Packing | undefined;
  /** What a parquet file says of itself: its rows, and bytes of what is read of them. */
  readonly parquet?: { readonly rows: number; readonly bytes: number };
  /** The characters of a plain text, in pieces that follow each other. */
  readonly pieces?: () => AsyncIterable<string>;
  documents(): AsyncGenerator<TextDocument>;
}

/** The field of texts, and those of conversations that are read where there is none. */
const TEXT = "text";
const DIALOGUES = ["messages", "conversations"];
/** What belongs to a conversation beside its messages. */
const BESIDE = ["system", "tools"];

/**
 * Opens a text, JSON lines, a JSON array or a parquet file, also in gzip or zstd, as its bytes have it;
 * throws where they are of something else.
 */
export async function openDocuments(
  path: string,
  options: DocumentOptions = {},
): Promise<DocumentFile> {
  const { plain = false, signal, read } = options;
  const { packing, head } = await readHead(path);
  refuseForeign(head, { path, packing });
  if (isParquet(head) && !plain) return await parquetDocuments(path, packing, options);
  const beginning = new TextDecoder().decode(head);
  const values = plain ? undefined : separatedValues(beginning, path);
  if (values) {
    throw new TypeError(
      `Cannot read "${path}": it is ${values}, expected a text, JSON lines, a JSON array or parquet; ` +
        "write its rows as JSON lines, or set plain: true if it is meant to be read as text",
    );
  }
  const pieces = () => strictText(unpackedChunks(path, { packing, signal, read }), path);
  const layout = plain ? undefined : rowsLayout(beginning);
  if (layout === undefined) refuseChoice(path, "one plain text", options);
  const rows = layout === "JSON array" ? jsonElements : jsonLines;
  return {
    form: layout ?? "text",
    packing,
    ...layout === undefined && { pieces },
    documents: () =>
      layout === undefined
        ? wholeText(pieces(), path)
        : documentsOf(rows(pieces(), path), options.field),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Throws a `TypeError` where some of a text is chosen that has no parts to choose from. */
export function refuseChoice(
  place: string,
  what: string,
  { field, documents }: Pick<DocumentOptions, "field" | "documents">,
): void {
  const chosen = field !== undefined ? "field" : documents !== undefined ? "documents" : undefined;
  if (chosen === undefined) return;
  throw new TypeError(
    `Cannot choose ${chosen} of "${place}": it is ${what}, expected JSON lines, a JSON array or ` +
      `parquet; leave ${chosen} out`,
  );
}

async function* wholeText(
  pieces: AsyncIterable<string>,
  path: string,
): AsyncGenerator<TextDocument> {
  const parts = await Array.fromAsync(pieces);
  yield { content: parts.join(""), at: `"${path}"` };
}

async function parquetDocuments(
  path: string,
  packing: Packing | undefined,
  { field, signal }: DocumentOptions,
): Promise<DocumentFile> {
  const parquet = await openParquet(path, { packing, signal });
  const { columns } = parquet;
  const chosen = columns.includes(field ?? TEXT)
    ? field ?? TEXT
    : field === undefined
    ? DIALOGUES.find((name) => columns.includes(name))
    : undefined;
  if (chosen === undefined) {
    await parquet[Symbol.asyncDispose]();
    throw new TypeError(
      `Cannot read column "${field ?? TEXT}" of "${path}": there is none, expected one of ${
        columns.join(", ")
      }; choose it with field`,
    );
  }
  const wanted = [chosen, ...columns.filter((name) => name !== chosen && BESIDE.includes(name))];
  return {
    form: "parquet",
    packing,
    parquet: { rows: parquet.count, bytes: parquet.bytes(wanted) },
    documents: () => documentsOf(parquet.rows(wanted), chosen),
    [Symbol.asyncDispose]: () => parquet[Symbol.asyncDispose](),
  };
}

async function* documentsOf(
  rows: AsyncIterable<DataRow>,
  field: string | undefined,
): AsyncGenerator<TextDocument> {
  for await (const { value, at } of rows) yield { content: contentOf(value, field, at), at };
}

function contentOf(value: unknown, field: string | undefined, at: string): string | Dialogue {
  if (typeof value === "string" && field === undefined) return value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`Cannot read ${at}: it is ${words(value)}, expected an object`);
  }
  const row = value as Readonly<Record<string, unknown>>;
  const usual = row[TEXT] === undefined
    ? DIALOGUES.find((name) => row[name] !== undefined) ?? TEXT
    : TEXT;
  const chosen = field ?? usual;
  const content = row[chosen];
  if (typeof content === "string") return content;
  const dialogue = dialogueOf(content, row, `field "${chosen}" of ${at}`);
  if (dialogue) return dialogue;
  throw new TypeError(
    `Cannot read field "${chosen}" of ${at}: it is ${
      words(content)
    }, expected a text or a list of messages; there are ${
      Object.keys(row).join(", ")
    }, choose one with field`,
  );
}

function words(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  return value === null ? "null" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}
