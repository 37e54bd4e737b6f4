import { strict as assert } from "node:assert";
import { serveDir } from "../support/static_files.ts";
import { browserTest } from "../support/browser.ts";
import { bundlePage } from "./bundle.ts";

/** Chromium's WebGPU on its software driver. */
const WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];

browserTest("the check runs as a static page and shows its report", async (browser) => {
  const directory = await Deno.makeTempDir();
  try {
    await bundlePage(directory);
    await using server = serveDir(directory);
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", ({ message }) => errors.push(message));
    await page.goto(`${server.url}?minutes=0.2`);
    await page.waitForSelector("body[data-done]", { timeout: 180_000 });
    assert.deepEqual(errors, []);
    const report = await page.locator("#report").innerText();
    assert.match(report, /# GPU check: .*SwiftShader/i);
    assert.match(report, /## Kernels whose bits must be those of the reference: (done|cut off)/);
    assert.match(report, /\| appendKv \| [1-9]\d* of \d+ \| 0 \|/);
    assert.doesNotMatch(report, /something is wrong|: (wrong|failed)/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}, WEBGPU);
