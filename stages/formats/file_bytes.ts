/**
 * Bytes that are read or written at once. A thread to wait for the disk in takes longer than the system
 * takes for so few, of which small models and headers have thousands.
 */
export const AT_ONCE_BYTES = 65536;

/** Reads some bytes of an open file from where it stands; none at its end. */
export async function readSome(file: Deno.FsFile, bytes: Uint8Array): Promise<number | null> {
  return bytes.length > AT_ONCE_BYTES ? await file.read(bytes) : file.readSync(bytes);
}

/** Writes all bytes to an open file from where it stands. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.subarray(done);
    done += rest.length > AT_ONCE_BYTES ? await file.write(rest) : file.writeSync(rest);
  }
}
