// deno-lint-ignore-file no-control-regex -- marks of files are control characters
import { type Packing, packingOf } from "./unpack.ts";

/** What a file is that holds no text by itself, and what to do then. */
interface Foreign {
  readonly name: string;
  readonly wayOut: string;
}

const ARCHIVE = "take the text file out of it and name that";
const UNPACKED = "unpack it, or pack it by gzip or zstd";
const MODEL = "name it as the model of a load step, and a text here";
const TABLE = "write it as parquet or JSON lines";
const DOCUMENT = "write its text to a file in UTF-8";

/** What the first bytes are a mark of, as characters up to 255. */
const MARKS: readonly (Foreign & { readonly mark: RegExp })[] = [
  { name: "a 7z archive", mark: /^7z\xbc\xaf\x27\x1c/, wayOut: ARCHIVE },
  { name: "a rar archive", mark: /^Rar!\x1a\x07/, wayOut: ARCHIVE },
  { name: "a tar archive", mark: /^[^]{257}ustar[\0 ]/, wayOut: ARCHIVE },
  { name: "packed by xz", mark: /^\xfd7zXZ\0/, wayOut: UNPACKED },
  { name: "packed by bzip2", mark: /^BZh[1-9](1AY&SY|\x17rE8P\x90)/, wayOut: UNPACKED },
  { name: "packed by lz4", mark: /^\x04\x22\x4d\x18/, wayOut: UNPACKED },
  { name: "packed by lzip", mark: /^LZIP\x01/, wayOut: UNPACKED },
  { name: "packed by compress", mark: /^\x1f\x9d/, wayOut: UNPACKED },
  { name: "a GGUF model", mark: /^GGUF[\0-\x0f]/, wayOut: MODEL },
  { name: "an HDF5 file", mark: /^\x89HDF\r\n\x1a\n/, wayOut: TABLE },
  { name: "an Arrow file", mark: /^ARROW1\0/, wayOut: TABLE },
  { name: "a Feather file", mark: /^FEA1[\0-\x08]/, wayOut: TABLE },
  { name: "an Avro file", mark: /^Obj\x01/, wayOut: TABLE },
  { name: "an encrypted parquet file", mark: /^PARE[\0-\x1f\x80-\xff]/, wayOut: "decrypt it" },
  { name: "an SQLite database", mark: /^SQLite format 3\0/, wayOut: TABLE },
  { name: "an array of NumPy", mark: /^\x93NUMPY/, wayOut: TABLE },
  { name: "a PDF document", mark: /^%PDF-\d/, wayOut: DOCUMENT },
  { name: "text in UTF-32", mark: /^(\xff\xfe\0\0|\0\0\xfe\xff)/, wayOut: iconv("UTF-32") },
  { name: "text in UTF-16", mark: /^(\xff\xfe|\xfe\xff)/, wayOut: iconv("UTF-16") },
  { name: "a zip archive", mark: /^PK(\x03\x04|\x05\x06)(?![^]*data\.pkl)/, wayOut: ARCHIVE },
  { name: "a model file of torch", mark: /^PK\x03\x04/, wayOut: MODEL },
  {
    // Of protocol 2 or later: it begins with a number, a frame, a collection or a reference.
    name: "a pickle, as model files of torch are",
    mark: /^\x80[\x02-\x05][\x8a\x95}\](cK]/,
    wayOut: MODEL,
  },
];

/** Throws a `TypeError` that names what a file is where its beginning shows that it holds no text. */
export function refuseForeign(
  head: Uint8Array,
  { path, packing }: { readonly path: string; readonly packing: Packing | undefined },
): void {
  const found = foreignContent(head, packing);
  if (!found) return;
  throw new TypeError(
    `Cannot read "${path}": it is ${found.name}${
      packing ? ` within ${packing}` : ""
    }, expected a text, JSON lines, a JSON array or parquet; ${found.wayOut}`,
  );
}

/** How to write a file in UTF-8 which is in another encoding. */
export function iconv(encoding: string): string {
  return `iconv -f ${encoding} -t UTF-8 FILE > TEXT writes it in UTF-8`;
}

function foreignContent(head: Uint8Array, packing: Packing | undefined): Foreign | undefined {
  const again = packing && packingOf(head);
  if (again) return { name: `packed by ${again}`, wayOut: "unpack it once" };
  const text = Array.from(head.subarray(0, 1024), (byte) => String.fromCharCode(byte)).join("");
  if (isSafetensors(head, text)) return { name: "a safetensors model", wayOut: MODEL };
  return MARKS.find(({ mark }) => mark.test(text));
}

/** The size of a header as a little-endian u64, then the header in JSON. */
function isSafetensors(head: Uint8Array, text: string): boolean {
  if (head.length < 10 || text[8] !== "{") return false;
  const size = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  return size > 1n && size < 2n ** 40n;
}
