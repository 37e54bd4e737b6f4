import assert from "node:assert/strict";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { readSourceText } from "../../../stages/data/text.ts";

const TEXT = "Once there was a café by the mill.\n".repeat(40);
const UTF8 = new TextEncoder();
const DATA = "expected a text, JSON lines, a JSON array or parquet; ";
const ARCHIVE = `${DATA}take the text file out of it and name that`;
const MODEL = `${DATA}name it as the model of a load step, and a text here`;

/** Characters up to 255 as bytes. */
const raw = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

function utf16(text: string, { mark = true, big = false } = {}): Uint8Array<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(2 * (text.length + (mark ? 1 : 0))));
  [...mark ? "\ufeff" : "", ...text].forEach((char, i) =>
    bytes.setUint16(2 * i, char.charCodeAt(0), !big)
  );
  return new Uint8Array(bytes.buffer);
}

/** An archive of tar with one file: name, and `ustar` where POSIX has it. */
function tar(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(1024);
  bytes.set(raw("wiki.txt"));
  bytes.set(raw("ustar\x0000"), 257);
  return bytes;
}

/** A safetensors file of one tensor, as the format's README has it. */
function safetensors(): Uint8Array<ArrayBuffer> {
  const header = UTF8.encode('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}');
  const bytes = new Uint8Array(8 + header.length + 4);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  return bytes;
}

/** What is in a file, and how its refusal ends behind `Cannot read "FILE": `. */
const REFUSED: Readonly<Record<string, readonly [Uint8Array, string | RegExp]>> = {
  "UTF-16 with its mark": [
    utf16(TEXT),
    `it is text in UTF-16, ${DATA}iconv -f UTF-16 -t UTF-8 FILE > TEXT writes it in UTF-8`,
  ],
  "UTF-16 of the other order": [utf16(TEXT, { big: true }), /^it is text in UTF-16, expected /],
  "UTF-16 without a mark": [
    utf16(TEXT, { mark: false }),
    /^there is a NUL in line 1 at byte 1, as in UTF-16LE, expected .*; iconv -f UTF-16LE -t UTF-8 /,
  ],
  "UTF-16BE without a mark": [
    utf16(TEXT, { mark: false, big: true }),
    /^there is a NUL in line 1 at byte 0, as in UTF-16BE, expected .*; iconv -f UTF-16BE -t UTF-8 /,
  ],
  "UTF-32": [raw("\xff\xfe\0\0a\0\0\0"), /^it is text in UTF-32, expected /],
  "Latin-1": [
    raw(TEXT),
    /^0xe9 in line 1 at byte 20 is no UTF-8, expected text in UTF-8; .* Latin-1, iconv -f ISO-8859-1 /,
  ],
  "Latin-1 far behind": [
    new Uint8Array([...UTF8.encode(TEXT.repeat(80)), ...raw("caf\xe9\n")]),
    /^0xe9 in line 3201 at byte 115203 is no UTF-8, /,
  ],
  "half of a character at the end": [
    UTF8.encode("one\ntwo é").subarray(0, -1),
    /^it ends within a character of UTF-8, in line 2 after byte 8, expected whole ones; /,
  ],
  "a NUL": [UTF8.encode("one\ntwo \0"), "there is a NUL in line 2 at byte 8, expected text"],
  "a surrogate in three bytes": [raw("a\xed\xa0\x80"), /^0xed in line 1 at byte 1 is no UTF-8, /],
  "nothing": [new Uint8Array(0), "it is empty, expected text"],
  "white space": [
    UTF8.encode(" \n\t\r\n"),
    "there is nothing but white space in it, expected text",
  ],
  "no rows": [UTF8.encode("[]"), "it is empty, expected text"],
  "a zip archive": [raw("PK\x03\x04\x14\0\0\0wiki.txt"), `it is a zip archive, ${ARCHIVE}`],
  "an empty zip archive": [raw("PK\x05\x06\0\0"), `it is a zip archive, ${ARCHIVE}`],
  "a tar archive": [tar(), `it is a tar archive, ${ARCHIVE}`],
  "a tar archive in gzip": [gzipSync(tar()), `it is a tar archive within gzip, ${ARCHIVE}`],
  "a 7z archive": [raw("7z\xbc\xaf\x27\x1c\0\x04"), `it is a 7z archive, ${ARCHIVE}`],
  "xz": [
    raw("\xfd7zXZ\0\0\x04"),
    /^it is packed by xz, .*; unpack it, or pack it by gzip or zstd$/,
  ],
  "bzip2": [
    raw("BZh91AY&SY"),
    /^it is packed by bzip2, .*; unpack it, or pack it by gzip or zstd$/,
  ],
  "gzip in gzip": [
    gzipSync(gzipSync(TEXT)),
    /^it is packed by gzip within gzip, .*; unpack it once$/,
  ],
  "gzip in zstd": [zstdCompressSync(gzipSync(TEXT)), /^it is packed by gzip within zstd, /],
  "a GGUF model": [raw("GGUF\x03\0\0\0"), `it is a GGUF model, ${MODEL}`],
  "a safetensors model": [safetensors(), `it is a safetensors model, ${MODEL}`],
  "a torch model": [
    raw("PK\x03\x04\0\0\0\0archive/data.pkl"),
    `it is a model file of torch, ${MODEL}`,
  ],
  "an older torch model": [
    raw("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."),
    `it is a pickle, as model files of torch are, ${MODEL}`,
  ],
  "an Arrow file": [
    raw("ARROW1\0\0"),
    /^it is an Arrow file, .*; write it as parquet or JSON lines$/,
  ],
  "CSV": [
    UTF8.encode('id,text\n1,"a, b"\n'),
    `it is CSV, ${DATA}write its rows as JSON lines, or set plain: true if it is meant to be read as text`,
  ],
  "TSV": [UTF8.encode("id\ttext\n1\ta b\n"), /^it is TSV, expected /],
  "CSV in zstd": [zstdCompressSync("id;text\n1;a\n"), /^it is CSV, expected /],
  "an object over several lines": [
    UTF8.encode('{\n  "data": []\n}\n'),
    /:1: it is no JSON, expected an object a line or one array, or set plain: true /,
  ],
  "an array that does not end": [
    UTF8.encode('[{"text": "a"},\n{"text": "b"}'),
    /^its array does not end, expected \] behind the last element; fetch it again, or set plain: /,
  ],
  "two arrays": [
    UTF8.encode('["a"]\n["b"]'),
    /^there is more behind its array, expected one array /,
  ],
  "an array with a hole": [UTF8.encode('["a",,"b"]'), /element 2 of ".*: it is no JSON, expected /],
  "an array with a comma at its end": [UTF8.encode('["a",]'), /element 2 of ".*: it is no JSON, /],
  "an array closed by a brace": [
    UTF8.encode('[{"text":"a"}}'),
    /^there is more behind its array, /,
  ],
  "a number among objects": [
    UTF8.encode('[{"text":"a"}, 3]'),
    /element 2 of ".*: it is a number, /,
  ],
  "half of a surrogate pair": [
    UTF8.encode('{"text": "\\ud83d"}'),
    /:1: it has half of a surrogate pair, expected whole characters$/,
  ],
};

for (const [what, [bytes, message]] of Object.entries(REFUSED)) {
  Deno.test(`${what} is refused by name, with a way out`, async () => {
    await using file = await temporaryFile(bytes);
    await assert.rejects(readSourceText(file.path), (error: Error) => {
      assert.ok(error.message.startsWith("Cannot read "), error.message);
      const said = error.message.replace(`Cannot read "${file.path}": `, "");
      if (typeof message === "string") assert.equal(said, message);
      else assert.match(said, message);
      return true;
    });
  });
}

/** As the command `zstd` packs. */
const checked = (text: string) =>
  zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });

for (const [name, pack] of Object.entries({ gzip: gzipSync, zstd: checked })) {
  Deno.test(`${name} that is cut off or damaged is refused, never read in part`, async () => {
    const words = Array.from({ length: 40_000 }, (_, i) => `word ${i * i % 9973} of ${i}`);
    const packed = pack(words.join("\n"));
    // Within the last bytes, the checksum; the head; the middle, behind what is read at first.
    for (const length of [packed.length - 1, packed.length - 6, packed.length >> 1, 12]) {
      await using file = await temporaryFile(packed.subarray(0, length));
      await assert.rejects(readSourceText(file.path), {
        name: "SyntaxError",
        message: new RegExp(
          `^Cannot unpack ".*": ${name} says .*, expected a whole file; fetch it`,
        ),
      });
    }
    if (name === "zstd") return;
    // The library does not look at zstd's checksum.
    const damaged = Uint8Array.from(packed);
    damaged[packed.length >> 1]! ^= 0x10;
    await using file = await temporaryFile(damaged);
    await assert.rejects(readSourceText(file.path), { message: /^Cannot unpack / });
  });
}

Deno.test("a text that only looks like something else is read", async () => {
  const texts = [
    "Hello, world\nhow are you, my friend\n",
    "[[Category:Mills]] and more",
    "[1] The first note.\n",
    "{\\bf bold} words",
    "text\nin,lines\n",
    "a,b\n",
    "7z is an archive; PK too; GGUF is not the first word.",
    "BZh is not the name of a country, GGUF no word, and LZIP",
    "GGUF is a format of files",
    "PARENTS and children",
    "%PDF is what its files begin with",
  ];
  for (const text of texts) {
    await using file = await temporaryFile(UTF8.encode(text));
    assert.equal((await readSourceText(file.path)).text, text);
  }
});

async function temporaryFile(
  bytes: Uint8Array,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempFile();
  await Deno.writeFile(path, bytes);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}
