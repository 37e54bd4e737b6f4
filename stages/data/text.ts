import type { Dialogue } from "./dialogue.ts";
import { type DocumentFile, openDocuments, refuseChoice } from "./documents.ts";
import { stories } from "./stories.ts";
import { localFile, splitOf } from "./text_sources.ts";

/** Between the texts of a file. */
const BETWEEN = "\n\n";

/** Characters that a string of JavaScript can have. */
const MOST = 2 ** 29 - 24;

/** How to read a text. */
export interface TextOptions {
  /** Field of JSON or column of parquet; "text" unless said, or conversations where there is none. */
  readonly field?: string | undefined;
  /** Whether the file is one text, though it may look like data. */
  readonly plain?: boolean | undefined;
  /** How many texts or conversations to take from the beginning; all unless said. */
  readonly documents?: number | undefined;
  /** Length of generated stories, 100,000 unless said. */
  readonly bytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Lays a conversation out as text; there is nobody to do so unless said. */
  layOut?(dialogue: Dialogue): string;
}

/** A text and what it was read from. */
export interface GivenText {
  readonly text: string;
  /** In words, such as `JSON lines in gzip`. */
  readonly form: string;
  readonly documents: number;
  /** Code points. */
  readonly characters: number;
  /** Whether it is conversations, which have their special tokens in them. */
  readonly chat: boolean;
}

/**
 * The text at a place: a text file as it is, the texts of JSON lines, of a JSON array or of a parquet
 * file joined by a blank line, their conversations as a chat template lays them out one behind the
 * other, or stories from the built-in generator. A file's form is told by its content, also where it
 * is packed by gzip or zstd.
 *
 * A place on the hub, such as `hf:datasets/org/name@revision/test.parquet`, is fetched first.
 */
export async function readSourceText(
  place: string,
  options: TextOptions = {},
): Promise<GivenText> {
  const split = splitOf(place);
  if (split !== undefined) {
    refuseChoice(place, "stories, whose length bytes says", options);
    const text = stories({ split, bytes: options.bytes ?? 100_000 });
    return { text, form: "stories", documents: 1, characters: text.length, chat: false };
  }
  const path = await localFile(place, options.signal);
  await using file = await openDocuments(path, options);
  const texts = await textsOf(file, path, options);
  const { chat } = texts;
  const text = texts.all.join(chat ? "" : BETWEEN);
  if (text.trim() === "") {
    throw new TypeError(
      `Cannot read "${path}": ${
        text === "" ? "it is empty" : "there is nothing but white space in it"
      }, expected text`,
    );
  }
  const form = file.packing ? `${file.form} in ${file.packing}` : file.form;
  return { text, form, documents: texts.all.length, characters: codePoints(text), chat };
}

async function textsOf(
  file: DocumentFile,
  path: string,
  { documents = Infinity, layOut }: TextOptions,
): Promise<{ readonly all: readonly string[]; readonly chat: boolean }> {
  const all: string[] = [];
  let [length, chat] = [0, false];
  for await (const { content, at } of file.documents()) {
    const isChat = typeof content !== "string";
    if (all.length > 0 && isChat !== chat) {
      throw new TypeError(
        `Cannot read ${at}: it is ${isChat ? "a conversation" : "a text"}, expected ${
          chat ? "a conversation" : "a text"
        } as before it; choose one field`,
      );
    }
    chat = isChat;
    const text = isChat ? laidOut(content, at, layOut) : content;
    if (!text.isWellFormed()) {
      throw new TypeError(
        `Cannot read ${at}: it has half of a surrogate pair, expected whole characters`,
      );
    }
    length += text.length + BETWEEN.length;
    if (length > MOST) {
      throw new RangeError(
        `Cannot read "${path}": it has more than ${MOST} characters, expected fewer; ` +
          "take the first with documents, or a part of the file",
      );
    }
    all.push(text);
    if (all.length >= documents) break;
  }
  return { all, chat };
}

function laidOut(dialogue: Dialogue, at: string, layOut: TextOptions["layOut"]): string {
  try {
    if (layOut) return layOut(dialogue);
    throw new TypeError("nothing is there to lay it out");
  } catch (cause) {
    throw new TypeError(
      `Cannot read the conversation of ${at}: ${
        (cause as Error).message
      }, expected one that the model's chat template takes; choose a field of texts if there is one`,
      { cause },
    );
  }
}

function codePoints(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length; at++) {
    if ((text.charCodeAt(at) & 0xfc00) === 0xd800) count--;
  }
  return count;
}
