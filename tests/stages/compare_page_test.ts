import { deepStrictEqual, match, ok } from "node:assert/strict";
import type { Evaluation } from "../../stages/report/evaluation.ts";
import { browserTest } from "../support/browser.ts";
import { evaluation, PROTOCOL, run } from "../support/compared_models.ts";
import { lowContrasts, overflows, watch } from "../support/page_check.ts";

const LABELS = ["half precision", "RTN", "GPTQ", "SmoothQuant, static", "QuaRot", "Atom", "QoQ"];

/** Models as a recipe compares them, with all that a row may have. */
const MODELS: readonly Evaluation[] = LABELS.map((_, at) => {
  const windows = Array.from(
    { length: PROTOCOL.windows },
    (_, window) => Math.sin(window * window),
  );
  const cost = at === 0 ? 0 : (LABELS.length - at) ** 2 / 100;
  const kl = windows.map((wave) => cost * (1 + 0.2 * wave));
  const made = evaluation(
    at === 0 ? {} : {
      scheme: `W4 g128 two-level post-scale A8 per token KV4 ${at}`,
      bitsPerWeight: 4 + at / 10,
      kvBytesPerToken: 576,
      layers: Array.from({ length: 24 }, (_, layer) => ({ layer, error: cost * (1 + layer) / 99 })),
      kvErrors: Array.from({ length: 24 }, () => 0.001 * at),
    },
    { perplexity: 2 * Math.exp(cost), ...at > 0 && { kl: cost, top1: 1 - cost / 2 } },
  );
  const score = { metric: "acc", value: 0.5 - cost / 9, error: 0.0157, higherIsBetter: true };
  const paired = { difference: -cost / 9, error: 0.004, lost: 12, won: 3 };
  return {
    ...made,
    windowMeans: windows.map((wave) => Math.LN2 + cost + 0.1 * wave),
    ...at > 0 && { windowKl: kl, windowTop1: kl.map((one) => 1 - one / 2) },
    tasks: {
      groups: [],
      tasks: ["arc_easy", "hellaswag"].map((task) => ({
        task,
        about: task,
        groups: [],
        items: 100,
        shots: 0,
        digest: task,
        scores: [{ ...score, ...at > 0 && { paired } }],
      })),
    },
  };
});

browserTest(
  "the page of a comparison begins with its gist and fits desktops and phones, light and dark",
  async (browser) => {
    await using made = await run(MODELS, { title: "Methods beside each other", labels: LABELS });
    for (const colorScheme of ["light", "dark"] as const) {
      const context = await browser.newContext({ colorScheme });
      const page = await context.newPage();
      const trouble = watch(page);
      await page.goto(`file://${made.path("report.html")}`);
      const lead = await page.locator("h1 + p").textContent();
      match(lead!, /^QoQ keeps 99\.5 % of the tokens that half precision would choose, and its/);
      for (const width of [1280, 768, 390]) {
        await page.setViewportSize({ width, height: 900 });
        deepStrictEqual(await overflows(page), [], `at ${width}`);
        const scrolling = await page.locator(".wide").evaluateAll((boxes) =>
          boxes.filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).length
        );
        deepStrictEqual(scrolling, 0, `tables that scroll sideways at ${width}`);
        deepStrictEqual(await lowContrasts(page), [], `at ${width}, ${colorScheme}`);
        const shots = Deno.env.get("SHOTS");
        if (shots) {
          await page.screenshot({ path: `${shots}/${width}-${colorScheme}.png`, fullPage: true });
        }
      }
      // On a phone a figure stands beside the name of its column.
      const before = await page.evaluate(
        `getComputedStyle(document.querySelector("td[data-column='Bits per weight']"), "::before").content`,
      );
      deepStrictEqual(before, '"Bits per weight"');
      // What belongs together stays on a line.
      ok(
        (await page.locator("td[data-column='Perplexity']").first().textContent())!.includes(
          "±\u00a0",
        ),
      );
      ok(await page.locator(".narrow svg").first().isVisible());
      ok(!await page.locator(".roomy svg").first().isVisible());
      deepStrictEqual(trouble, []);
      await context.close();
    }
  },
);
