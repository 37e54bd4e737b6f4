/**
 * Makes a static page of the check: `deno run -A tests/gpu_check/bundle.ts DIRECTORY` writes
 * `index.html` and `gpu-check.js`, to be put on any file server.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, stop } from "esbuild";

/** Writes the page and its script. */
export async function bundlePage(out: string): Promise<void> {
  await Deno.mkdir(out, { recursive: true });
  await Deno.copyFile(new URL("page.html", import.meta.url), join(out, "index.html"));
  try {
    await build({
      entryPoints: [fileURLToPath(new URL("page.ts", import.meta.url))],
      outfile: join(out, "gpu-check.js"),
      bundle: true,
      minify: true,
      format: "esm",
      // `using` is not in every browser that has WebGPU.
      target: "es2022",
      logLevel: "warning",
    });
  } finally {
    await stop();
  }
}

if (import.meta.main) {
  const [out] = Deno.args;
  if (out === undefined) throw new TypeError("Cannot bundle: expected a directory to write to");
  await bundlePage(out);
}
