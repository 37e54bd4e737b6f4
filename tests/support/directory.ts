/** A directory that is removed when it is disposed of. */
export async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Does work in a directory of its own, which is then removed. */
export async function withDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  await using directory = await temporary();
  await use(directory.path);
}
