import type { Browser } from "playwright-core";

/** Where systems put the browsers that can be driven here. */
const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** A Chromium of this machine, if it has one. */
export async function findBrowser(): Promise<string | undefined> {
  for (const place of PLACES) {
    if (await Deno.stat(place).then(() => true, () => false)) return place;
  }
  return undefined;
}

const EXECUTABLE = await findBrowser();

/**
 * A test that looks at something in a real browser, started with more arguments where they are given;
 * where there is none, its name says so.
 */
export function browserTest(
  name: string,
  look: (browser: Browser) => Promise<void>,
  more: readonly string[] = [],
): void {
  Deno.test({
    name: EXECUTABLE ? name : `${name} (not run: this machine has no Chromium, install chromium)`,
    ignore: EXECUTABLE === undefined,
    // The driver keeps pipes to the browser until the browser has ended.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const { chromium } = await import("playwright-core");
      const options = { executablePath: EXECUTABLE!, args: ["--no-sandbox", ...more] };
      const browser = await chromium.launch(options);
      try {
        await look(browser);
      } finally {
        await browser.close();
      }
    },
  });
}
