import { type DocumentFile, openDocuments, type TextDocument } from "./documents.ts";
import { readSourceText, type TextOptions } from "./text.ts";
import { textSources } from "./text_sources.ts";

/** Parts of a text, and about how many bytes of UTF-8 all of it has. */
export interface TextSample {
  readonly parts: readonly string[];
  readonly bytes: number;
}

/** Parts from all over a text: their ratio of tokens to bytes is that of the text to half a percent. */
const PARTS = 8;
const PART_BYTES = 2 ** 12;
const SAMPLE_BYTES = PARTS * PART_BYTES;
/** How much of a text that is generated, or only known from its beginning, is looked at. */
const START_BYTES = 2 ** 17;
/** How much of a file is read for that: a block that is not whole yet is some percent of it. */
const READ_BYTES = 2 ** 21;

/** Looks at some of a text, which `readSourceText` takes with the same options. */
export async function sampleText(
  place: string,
  options: Pick<TextOptions, "field" | "plain" | "documents"> & { readonly bytes: number },
): Promise<TextSample> {
  const { bytes } = options;
  const [path] = await textSources(place);
  if (path === undefined) {
    const { text } = await readSourceText(place, {
      ...options,
      bytes: Math.min(bytes, START_BYTES),
    });
    return { parts: partsOf(text), bytes: Math.max(bytes, text.length) };
  }
  let read = 0;
  const opened = { ...options, read: (bytes: number) => void (read = bytes) };
  await using file = await openDocuments(path, opened);
  const { size } = await Deno.stat(path);
  if (file.form === "text" && !file.packing) return await sampleFile(path, size);
  return await sampleDocuments(file, { size, read: () => read, most: options.documents });
}

/** Looks at a plain text all over. */
async function sampleFile(path: string, size: number): Promise<TextSample> {
  using file = await Deno.open(path);
  const parts: string[] = [];
  if (size <= SAMPLE_BYTES) parts.push(await readPart(file, 0, size));
  for (let i = 0; i < PARTS && size > SAMPLE_BYTES; i++) {
    parts.push(await readPart(file, Math.floor(i * size / PARTS), PART_BYTES));
  }
  return { parts, bytes: size };
}

/** Looks at the first texts; their share of the bytes read is that of all. */
async function sampleDocuments(
  file: DocumentFile,
  { size, read, most = Infinity }: {
    readonly size: number;
    read(): number;
    readonly most: number | undefined;
  },
): Promise<TextSample> {
  const { parquet, pieces } = file;
  const between = pieces ? "" : "\n\n";
  const start: string[] = [];
  let [count, length, whole] = [0, 0, true];
  for await (const text of pieces?.() ?? wordsIn(file.documents())) {
    if (length < START_BYTES) start.push(text);
    length += byteLength(text) + between.length;
    if (!pieces && ++count >= most) break;
    whole = length < START_BYTES || (parquet === undefined && read() < READ_BYTES);
    if (!whole) break;
  }
  const parts = partsOf(start.join(between));
  if (whole) return { parts, bytes: Math.max(0, length - between.length) };
  const all = parquet ? Math.max(parquet.bytes, length) : Math.ceil(length * size / read());
  const few = most === Infinity ? Infinity : Math.ceil(length * most / count);
  return { parts, bytes: Math.min(all, few) };
}

async function* wordsIn(documents: AsyncIterable<TextDocument>): AsyncGenerator<string> {
  for await (const { content } of documents) yield wordsOf(content);
}

/** A text, or what is said in a conversation. */
function wordsOf(content: TextDocument["content"]): string {
  if (typeof content === "string") return content;
  return content.turns.map(({ content }) => typeof content === "string" ? content : "").join("\n");
}
function partsOf(text: string): string[] {
  if (text.length <= SAMPLE_BYTES) return [text];
  return Array.from({ length: PARTS }, (_, i) => {
    const start = Math.floor(i * text.length / PARTS);
    return text.slice(start, start + PART_BYTES);
  });
}

async function readPart(file: Deno.FsFile, start: number, length: number): Promise<string> {
  const bytes = new Uint8Array(length);
  await file.seek(start, Deno.SeekMode.Start);
  let filled = 0;
  for (;;) {
    const count = await file.read(bytes.subarray(filled));
    if (!count) return new TextDecoder().decode(bytes.subarray(0, filled));
    filled += count;
  }
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
