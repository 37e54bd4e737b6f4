/** Places that look like files and are none, or far too large. */
export interface HostilePlaces extends AsyncDisposable {
  readonly directory: string;
  /** Has no end. */
  readonly device: string;
  /** Nobody writes to it: opening it waits for ever. */
  readonly pipe: string;
  /** 1 TiB without a byte on the disk. */
  readonly sparse: string;
}

/** Makes them in a directory that goes when it is disposed of. */
export async function openPlaces(): Promise<HostilePlaces> {
  const directory = await Deno.makeTempDir();
  const pipe = `${directory}/pipe`;
  const { success } = await new Deno.Command("mkfifo", { args: [pipe] }).output();
  if (!success) throw new Error(`Cannot make a pipe at ${pipe}`);
  const sparse = `${directory}/sparse`;
  await makeSparse(sparse);
  return {
    directory,
    device: "/dev/zero",
    pipe,
    sparse,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

/** Makes a file of 1 TiB with some bytes at its beginning. */
export async function makeSparse(path: string, head = new Uint8Array(0)): Promise<void> {
  await Deno.writeFile(path, head);
  await Deno.truncate(path, 2 ** 40);
}
