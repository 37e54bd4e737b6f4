import { messageOf } from "../../errors.ts";

/** Throws where nothing can listen: whoever answers there is not what is to be started. */
export function refuseTaken(hostname: string, port: number): void {
  try {
    Deno.listen({ hostname, port }).close();
  } catch (error) {
    throw new Error(
      `Cannot listen on ${hostname}:${port}: ${messageOf(error)}, expected an address of this ` +
        "machine and a free port; give another --host or --port",
    );
  }
}
