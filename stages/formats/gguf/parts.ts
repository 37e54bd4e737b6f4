import { ByteFile } from "../byte_file.ts";
import { type GgufHeader, type GgufValue, readGgufHeader } from "./header.ts";
import type { ListedTensor } from "./tensor_places.ts";

/** A tensor with the file that holds it. */
export interface PlacedTensor extends ListedTensor {
  readonly file: ByteFile;
}

/** A GGUF file, or all parts of a split one. */
export interface GgufParts extends Disposable {
  /** Of the first part, which has all of it. */
  readonly metadata: GgufHeader["metadata"];
  readonly tensors: readonly PlacedTensor[];
  readonly files: readonly ByteFile[];
}

/** How llama-gguf-split calls the parts of a file. */
const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;

/** Paths of all parts that the name of one promises, in order; the path alone where it promises none. */
export function promisedParts(path: string): string[] {
  const [, stem, , count] = PART.exec(path) ?? [];
  if (count === undefined || Number(count) < 2) return [path];
  const digits = (part: number) => String(part).padStart(5, "0");
  return Array.from(
    { length: Number(count) },
    (_, part) => `${stem}-${digits(part + 1)}-of-${count}.gguf`,
  );
}

/** The files beside a GGUF file that are parts of the same, itself among them. */
export async function ggufSources(path: string): Promise<string[]> {
  const there: string[] = [];
  for (const part of promisedParts(path)) {
    if (await Deno.stat(part).then(({ isFile }) => isFile, () => false)) there.push(part);
  }
  return there.includes(path) ? there : [path];
}

/** Opens a GGUF file and reads its header; of a split one, whichever part is named, all parts. */
export async function openGgufParts(path: string): Promise<GgufParts> {
  using stack = new DisposableStack();
  const files = [stack.use(ByteFile.open(path))];
  const header = await readGgufHeader(files[0]!);
  const count = numberIn(header.metadata, "split.count") ?? 1;
  if (count <= 1) return opened([{ file: files[0]!, header }], stack.move());
  const paths = promisedParts(path);
  if (paths.length !== count) {
    throw new TypeError(
      `Cannot open "${path}": it is one of ${count} parts, expected a name that ends in ` +
        `"-00001-of-${String(count).padStart(5, "0")}.gguf", with the other parts beside it`,
    );
  }
  const parts: Part[] = [];
  for (const [at, each] of paths.entries()) {
    const file = stack.use(openPart(each, { at, count }));
    const part = { file, header: await readGgufHeader(file) };
    checkPart(part, { at, count });
    parts.push(part);
  }
  checkWhole(parts, path);
  return opened(parts, stack.move());
}

interface Part {
  readonly file: ByteFile;
  readonly header: GgufHeader;
}

/** Which part of how many, from 0 on. */
interface Turn {
  readonly at: number;
  readonly count: number;
}

function opened(parts: readonly Part[], owned: DisposableStack): GgufParts {
  return {
    metadata: parts[0]!.header.metadata,
    tensors: parts.flatMap(({ file, header }) =>
      header.tensors.map((tensor) => ({ ...tensor, file }))
    ),
    files: parts.map(({ file }) => file),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function openPart(path: string, { at, count }: Turn): ByteFile {
  try {
    return ByteFile.open(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    const what = `part ${at + 1} of ${count}`;
    throw new TypeError(`Cannot open "${path}": there is no such file, expected ${what}`, {
      cause,
    });
  }
}

function checkPart({ file, header: { metadata } }: Part, { at, count }: Turn): void {
  const [part, parts] = ["split.no", "split.count"].map((key) => numberIn(metadata, key));
  if (part === at && parts === count) return;
  throw new TypeError(
    `Cannot read "${file.path}": its metadata says part ${(part ?? NaN) + 1} of ${parts}, ` +
      `expected ${at + 1} of ${count} as its name says`,
  );
}

/** Throws unless the parts together hold each of so many tensors once. */
function checkWhole(parts: readonly Part[], path: string): void {
  const places = new Map<string, string>();
  for (const { file, header } of parts) {
    for (const { name } of header.tensors) {
      const other = places.get(name);
      if (other !== undefined) {
        throw new TypeError(
          `Cannot read "${file.path}": it holds tensor "${name}", which lies in "${other}" too, expected each once`,
        );
      }
      places.set(name, file.path);
    }
  }
  const said = numberIn(parts[0]!.header.metadata, "split.tensors.count") ?? places.size;
  if (said === places.size) return;
  throw new TypeError(
    `Cannot read "${path}": its ${parts.length} parts hold ${places.size} tensors, expected ${said} ` +
      `as split.tensors.count says`,
  );
}

function numberIn(metadata: ReadonlyMap<string, GgufValue>, key: string): number | undefined {
  const value = metadata.get(key);
  return typeof value === "number" ? value : undefined;
}
