import type { GgufEntry } from "../../stages/formats/gguf/encoding.ts";
import { encodeGguf } from "../../stages/formats/gguf/encoding.ts";
import { CONFIG, writeModel } from "./tiny_checkpoint.ts";

/** A checkpoint that asks for more than any real one. */
export interface HostileCheckpoint {
  readonly what: string;
  /** What is said of it. */
  readonly says: RegExp;
  /** Whether weights are loaded all the same: only who makes tokens is refused. */
  readonly loads?: boolean;
  /** Writes it into an empty directory, and returns the path to open. */
  make(directory: string): Promise<string>;
}

const UTF8 = new TextEncoder();

/** Writes texts one after another, without holding all of them. */
async function writePieces(path: string, pieces: Iterable<string | Uint8Array>): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const writer = file.writable.getWriter();
  const waiting: string[] = [];
  const flush = () => writer.write(UTF8.encode(waiting.splice(0).join("")));
  for (const piece of pieces) {
    if (typeof piece !== "string") {
      await flush();
      await writer.write(piece as Uint8Array<ArrayBuffer>);
    } else if (waiting.push(piece) === 1 << 16) await flush();
  }
  await flush();
  await writer.close();
}

/** Pieces that a text stands between; thousands at a time where all are the same. */
function* many(count: number, piece: (at: number) => string, between = ","): Generator<string> {
  yield piece(0);
  if (piece.length > 0) {
    for (let at = 1; at < count; at++) yield between + piece(at);
    return;
  }
  const [one, each] = [between + piece(0), 1 << 12];
  const some = one.length < 1 << 8 ? one.repeat(each) : undefined;
  let left = count - 1;
  for (; some && left >= each; left -= each) yield some;
  for (; left > 0; left--) yield one;
}

/** A tokenizer with other members than a small one's. */
function tokenizer(
  what: string,
  says: RegExp,
  members: () => Iterable<string>,
  name = "tokenizer.json",
): HostileCheckpoint {
  return {
    what,
    says,
    async make(directory) {
      await writeModel(directory, {});
      await writePieces(`${directory}/${name}`, members());
      return directory;
    },
  };
}

const MODEL = '"type":"BPE","vocab":{"a":0,"b":1,"ab":2}';

/** Weights under a header of any text. */
function weights(
  what: string,
  says: RegExp,
  { length, text }: { readonly length: number; text(): Iterable<string> },
): HostileCheckpoint {
  return {
    what,
    says,
    async make(directory) {
      await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(CONFIG));
      const size = new Uint8Array(8);
      new DataView(size.buffer).setBigUint64(0, BigInt(length), true);
      const path = `${directory}/model.safetensors`;
      await writePieces(
        path,
        (function* () {
          yield size;
          yield* text();
        })(),
      );
      const written = (await Deno.stat(path)).size - 8;
      using file = await Deno.open(path, { write: true, append: true });
      const spaces = new Uint8Array(1 << 20).fill(0x20);
      for (let left = length - written; left > 0; left -= spaces.length) {
        await file.write(spaces.subarray(0, left));
      }
      return directory;
    },
  };
}

/** A GGUF file of any bytes. */
function gguf(what: string, says: RegExp, bytes: () => Iterable<Uint8Array>): HostileCheckpoint {
  return {
    what,
    says,
    async make(directory) {
      const path = `${directory}/model.gguf`;
      await writePieces(path, bytes());
      return path;
    },
  };
}

/** The first bytes of a GGUF file. */
function ggufStart(tensors: number, metadata: number): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  bytes.set(UTF8.encode("GGUF"));
  view.setUint32(4, 3, true);
  view.setBigUint64(8, BigInt(tensors), true);
  view.setBigUint64(16, BigInt(metadata), true);
  return bytes;
}

function ggufName(name: string): Uint8Array {
  const text = UTF8.encode(name);
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function numbers(...values: readonly (readonly [value: number, bytes: 4 | 8])[]): Uint8Array {
  const bytes = new Uint8Array(values.reduce((sum, [, size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [value, size] of values) {
    if (size === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += size;
  }
  return bytes;
}

/** Writes the bytes by which the value of a place differs from others. */
type Differ = (bytes: Uint8Array, start: number, at: number) => void;

/** `count` values like one, a megabyte at a time. */
function* repeated(count: number, value: Uint8Array, differ?: Differ): Generator<Uint8Array> {
  const size = value.length;
  const each = Math.max(1, Math.floor((1 << 20) / size));
  for (let at = 0; at < count; at += each) {
    const some = Math.min(each, count - at);
    const bytes = new Uint8Array(some * size);
    bytes.set(value);
    for (let done = size; done < bytes.length; done *= 2) bytes.copyWithin(done, 0, done);
    for (let one = 0; differ && one < some; one++) differ(bytes, one * size, at + one);
    yield bytes;
  }
}

/** A name of eight digits, and what makes it another number's. */
const NUMBERED = ggufName("00000000");
const numbered: Differ = (bytes, start, at) => {
  for (let rest = at, place = start + NUMBERED.length - 1; rest > 0; place--) {
    bytes[place] = 0x30 + rest % 10;
    rest = Math.floor(rest / 10);
  }
};

const [STRING, LIST, U8] = [8, 9, 0];

function ggufList(type: number, count: number, value: Uint8Array, differ?: Differ) {
  return function* () {
    yield ggufStart(0, 1);
    yield ggufName("tokenizer.ggml.tokens");
    yield numbers([LIST, 4], [type, 4], [count, 8]);
    yield* repeated(count, value, differ);
  };
}

interface Placed {
  readonly name: string;
  readonly start: number;
}

/** A small model of GGUF whose tensors lie where they are said to. */
function placed(what: string, says: RegExp, move: (tensors: Placed[]) => Placed[]) {
  return gguf(what, says, function* () {
    const metadata: Record<string, GgufEntry> = {
      "general.architecture": { text: "llama" },
      "llama.block_count": { u32: 1 },
    };
    const { header } = encodeGguf({ metadata, tensors: [] });
    // As many entries, but with tensors behind them.
    const counted = header.slice();
    const tensors = move(["a", "b", "c"].map((name, at) => ({ name, start: 64 * at })));
    new DataView(counted.buffer).setBigUint64(8, BigInt(tensors.length), true);
    const end = trimmed(counted);
    yield counted.subarray(0, end);
    let length = end;
    for (const { name, start } of tensors) {
      const parts = [ggufName(name), numbers([1, 4], [16, 8], [0, 4], [start, 8])];
      for (const part of parts) {
        length += part.length;
        yield part;
      }
    }
    yield new Uint8Array(Math.ceil(length / 32) * 32 - length + 256);
  });
}

/** Where a header of two entries ends, before what pads it. */
function trimmed(header: Uint8Array): number {
  let at = 24;
  const view = new DataView(header.buffer, header.byteOffset);
  for (let entry = 0; entry < 2; entry++) {
    at += 8 + Number(view.getBigUint64(at, true));
    const type = view.getUint32(at, true);
    at += 4;
    at += type === STRING ? 8 + Number(view.getBigUint64(at, true)) : 4;
  }
  return at;
}

/** Some of every kind that once took seconds or gigabytes, and some just beyond what is allowed. */
export const HOSTILE: readonly HostileCheckpoint[] = [
  {
    ...tokenizer(
      "an added token with id 2^31",
      /has id 2147483648, expected a whole number below/,
      () => [
        `{"model":{${MODEL},"merges":[]},"added_tokens":[{"id":2147483648,"content":"<x>"}]}`,
      ],
    ),
    loads: true,
  },
  tokenizer("10^7 merges", /expected at most/, function* () {
    yield `{"model":{${MODEL},"merges":[`;
    yield* many(1e7, () => '"a b"');
    yield "]}}";
  }),
  tokenizer("10^7 merges in pairs", /expected at most/, function* () {
    yield `{"model":{${MODEL},"merges":[`;
    yield* many(1e7, () => '["a","b"]');
    yield "]}}";
  }),
  {
    ...tokenizer("a million merges in pairs", /merges, expected at most/, function* () {
      yield `{"model":{${MODEL},"merges":[`;
      yield* many(2 ** 20 + 1, () => '["a","b"]');
      yield "]}}";
    }),
    loads: true,
  },
  tokenizer("2 million members", /members, expected at most/, function* () {
    yield '{"model":{"type":"BPE","merges":[],"vocab":{';
    yield* many(2 ** 21, (at) => `"${at.toString(36)}":${at}`);
    yield "}}}";
  }),
  tokenizer("10^7 tokens", /expected at most/, function* () {
    yield '{"model":{"type":"BPE","merges":[],"vocab":{';
    yield* many(1e7, (at) => `"${at.toString(36)}":${at}`);
    yield "}}}";
  }),
  tokenizer("10^7 added tokens", /expected at most/, function* () {
    yield `{"model":{${MODEL},"merges":[]},"added_tokens":[`;
    yield* many(1e7, () => "{}");
    yield "]}";
  }),
  tokenizer("a token of 200 million characters", /expected at most/, function* () {
    yield `{"model":{"type":"BPE","merges":[],"vocab":{"a":0,"`;
    yield* many(200, () => "x".repeat(1e6), "");
    yield '":1}}}';
  }),
  tokenizer("a list of 100 million numbers", /expected at most/, function* () {
    yield `{"model":{${MODEL},"merges":[]},"x":[`;
    yield* many(1e5, () => "0" + ",0".repeat(999));
    yield "]}";
  }),
  {
    what: "a merges.txt of 100 MB",
    says: /merges\.txt": it has \d+ bytes, expected at most/,
    async make(directory) {
      await writeModel(directory, {});
      await Deno.writeTextFile(
        `${directory}/tokenizer_config.json`,
        JSON.stringify({ tokenizer_class: "GPT2Tokenizer" }),
      );
      await Deno.writeTextFile(`${directory}/vocab.json`, '{"a":0,"b":1,"ab":2}');
      await writePieces(`${directory}/merges.txt`, many(25e6, () => "a b", "\n"));
      return directory;
    },
  },
  {
    what: "15 million pieces of SentencePiece",
    says: /more than \d+ fields/,
    async make(directory) {
      await writeModel(directory, {});
      await writePieces(
        `${directory}/tokenizer.model`,
        repeated(1.5e7, new Uint8Array([0x0a, 0])),
      );
      return directory;
    },
  },
  tokenizer("a config of 10^7 members", /expected at most/, function* () {
    yield "{";
    yield* many(1e7, (at) => `"${at.toString(36)}":0`);
    yield "}";
  }, "config.json"),
  tokenizer(
    "a chat template of 200 MB",
    /expected at most/,
    () => many(200, () => "{{ a }}".repeat(1.5e5), ""),
    "chat_template.jinja",
  ),
  weights("3 million tensors", /expected at most/, {
    length: 99_999_999,
    *text() {
      yield "{";
      yield* many(
        1_800_000,
        (at) => `"${at.toString(36)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
      );
      yield "}";
    },
  }),
  weights("14 million words about weights", /expected at most/, {
    length: 99_999_999,
    *text() {
      yield '{"__metadata__":{';
      yield* many(7_000_000, (at) => `"${at.toString(36)}":"0"`);
      yield "}}";
    },
  }),
  weights("a tensor of 40 million axes", /expected at most/, {
    length: 99_999_999,
    *text() {
      yield '{"a":{"dtype":"U8","data_offsets":[0,0],"shape":[';
      yield* many(40_000, () => "0" + ",0".repeat(999));
      yield "]}}";
    },
  }),
  gguf(
    "16 million strings",
    /expected at most/,
    ggufList(STRING, 16_000_000, ggufName("a")),
  ),
  gguf(
    "16 million empty strings",
    /expected at most/,
    ggufList(STRING, 16_000_000, ggufName("")),
  ),
  gguf(
    "2 million strings, which are no model",
    /expected/,
    ggufList(STRING, 2 ** 21, ggufName("a"), (bytes, start, at) => {
      bytes[start + 8] = 97 + at % 26;
    }),
  ),
  gguf(
    "8 million bytes in a list, which are no model",
    /expected/,
    ggufList(U8, 2 ** 23, new Uint8Array(1)),
  ),
  gguf(
    "200 million bytes in a list",
    /expected at most/,
    ggufList(U8, 200_000_000, new Uint8Array(1)),
  ),
  gguf(
    "10 million lists in a list",
    /expected at most/,
    ggufList(LIST, 10_000_000, numbers([U8, 4], [0, 8])),
  ),
  gguf("a text of 200 MB", /expected/, function* () {
    yield ggufStart(0, 1);
    yield ggufName("general.name");
    yield numbers([STRING, 4], [2e8, 8]);
    yield* repeated(2e8, new Uint8Array([97]));
  }),
  gguf("10 million words about weights", /expected at most/, function* () {
    yield ggufStart(0, 1e7);
    yield* repeated(1e7, new Uint8Array([...NUMBERED, ...new Uint8Array(5)]), numbered);
  }),
  gguf("3 million GGUF tensors", /expected at most/, function* () {
    yield ggufStart(3e6, 0);
    yield* repeated(3e6, new Uint8Array([...NUMBERED, ...new Uint8Array(16)]), numbered);
    yield new Uint8Array(64);
  }),
  placed("tensors that overlap", /inside "a"/, ([a, b, c]) => [a!, { ...b!, start: 32 }, c!]),
  placed(
    "a tensor that lies within another",
    /inside "a"/,
    ([a, b, c]) => [a!, { ...b!, start: 0 }, c!],
  ),
  placed(
    "a tensor listed twice",
    /lists tensor "a" twice/,
    ([a, b, c]) => [a!, { ...b!, name: "a" }, c!],
  ),
  placed(
    "a tensor that is not aligned",
    /expected a multiple of 32/,
    ([a, b, c]) => [a!, { ...b!, start: 65 }, c!],
  ),
];
